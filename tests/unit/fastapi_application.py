"""An application of FastAPI, in a module of its own because to import FastAPI is slow."""

from __future__ import annotations

from fastapi import FastAPI, Request


def make() -> FastAPI:
    """The application; it says hello, and counts the words of a body."""
    app = FastAPI()

    @app.get("/")
    @app.get("/healthz")
    def hello() -> str:
        return "hello"

    @app.post("/count")
    async def count(request: Request) -> int:
        return len((await request.body()).split())

    return app
