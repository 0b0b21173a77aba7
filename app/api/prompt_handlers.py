"""What is answered without a task."""

from __future__ import annotations

from app.api.batch_encoding import PromptBatchEncoding
from app.api.batch_lines import Payment
from app.api.batch_verification import PromptBatchVerification
from app.api.paths import BASE
from app.api.prompt_encoding import PromptEncoding
from app.api.prompt_verification import PromptVerification
from app.authentication.access import Access
from app.http.prompt import NO_HANDLERS, PromptHandlers
from app.limits.limits import RateLimits
from core.audit.interface import Audit
from core.engine import Engine


def prompt_handlers(engine: Engine, access: Access, limits: RateLimits, audit: Audit) -> PromptHandlers:
    """Who answers which requests; nobody, where somebody else must be asked in between."""
    if not (engine.is_prompt and access.is_prompt):
        return NO_HANDLERS
    payment = Payment(limits, audit)
    return {
        ("POST", BASE): PromptEncoding(engine, access, audit),
        ("POST", BASE + "/batch"): PromptBatchEncoding(engine, access, audit, payment),
        ("POST", BASE + "/verify"): PromptVerification(engine, access, audit),
        ("POST", BASE + "/verify/batch"): PromptBatchVerification(engine, access, audit, payment),
    }
