"""What kinds of calls there are, as far as limits go, and what each costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

RouteClass = Literal["encode", "verify", "read", "revoke"]
ROUTE_CLASSES: Final[tuple[RouteClass, ...]] = get_args(RouteClass)

#: What becomes of calls while Redis is away: this host's buckets decide, all are refused, or all allowed.
Policy = Literal["local", "deny", "allow"]

#: Tokens that a call takes from each limit of its caller. A call with several items pays as much for each.
COSTS: Final[Mapping[RouteClass, int]] = {"encode": 1, "verify": 1, "read": 1, "revoke": 1}
