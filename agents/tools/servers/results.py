"""What a server's tool gave, as text for a model."""

from __future__ import annotations

import msgspec
from mcp import types as mcp_types

from agents.tools.tool import Given, cleaned
from schemas.tools import MAX_RESULT_CHARS

TAKEN_CHARS = 2 * MAX_RESULT_CHARS
"""Characters that are looked at; more would be cut anyway."""


def read_result(result: mcp_types.CallToolResult) -> Given:
    """Return the text of a result; of images and sounds only that there were some."""
    parts: list[str] = []
    size = 0
    truncated = False
    for block in result.content:
        if size > TAKEN_CHARS:
            truncated = True
            break
        text = _text(block)
        truncated = truncated or len(text) > TAKEN_CHARS
        parts.append(cleaned(text[:TAKEN_CHARS]))
        size += len(parts[-1])
    if not parts and result.structured_content is not None:
        text = msgspec.json.encode(result.structured_content).decode()
        truncated = len(text) > TAKEN_CHARS
        parts.append(cleaned(text[:TAKEN_CHARS]))
    return Given("\n".join(parts), failed=bool(result.is_error), truncated=truncated)


def _text(block: mcp_types.ContentBlock) -> str:
    match block:
        case mcp_types.TextContent(text=text):
            return text
        case mcp_types.EmbeddedResource(resource=mcp_types.TextResourceContents(text=text)):
            return text
        case (
            mcp_types.ImageContent(mime_type=kind, data=data)
            | mcp_types.AudioContent(mime_type=kind, data=data)
        ):
            return f"[{kind[:40]}, {len(data) * 3 // 4:,} bytes, not shown]"
        case mcp_types.ResourceLink(uri=uri):
            return f"[a link to {str(uri)[:500]}]"
        case _:
            return f"[{block.type[:40]}, not shown]"
