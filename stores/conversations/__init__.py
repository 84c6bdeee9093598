"""The conversations, as a projection of the log CHAT.

``book``     takes in the log's entries and forgets
``reading``  answers what is asked
``naming``   identities of turns, titles of conversations
"""

from stores.conversations.book import Conversations
from stores.conversations.naming import TITLE_CHARS, source_of, title_of, turn_source

__all__ = ["TITLE_CHARS", "Conversations", "source_of", "title_of", "turn_source"]
