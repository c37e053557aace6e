"""Says how aiohttp reads a request. Takes the port."""

import json
import sys

from aiohttp import web


async def echo(request: web.Request) -> web.Response:
    try:
        body = await request.json()
    except (json.JSONDecodeError, UnicodeDecodeError, LookupError):
        body = None
    form = await request.post() if request.content_type.startswith(("application/x-www", "multipart/")) else {}
    return web.json_response(
        {
            "method": request.method,
            "path": request.path,
            "query": dict(request.query),
            "form": {name: str(value) for name, value in form.items()},
            "json": body,
        }
    )


app = web.Application()
app.router.add_route("*", "/{rest:.*}", echo)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
