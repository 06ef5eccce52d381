"""An answer as a person wants it, beside the one that the model gave.

Owns: the version that an edit makes, and the tokens that it begins with. Does not know: turns, steps.
Nothing is computed here: the version gets the old one's tokens with their KV, and whatever goes on
behind it keeps them up to the first that has changed.
"""

from dataclasses import dataclass, replace

from engine.conversations import Journal, Node, Session
from engine.errors import RequestError
from engine.scheduling import BlockPool
from engine.tiers import Tiers
from engine.turns.prompt import PromptBuilder

NO_SUCH_ANSWER = "There is no such answer in this conversation."


@dataclass(frozen=True, slots=True)
class Editing:
    """Makes versions of answers. All of it in the engine's thread."""

    pool: BlockPool
    prompts: PromptBuilder
    journal: Journal
    tiers: Tiers

    def edit(self, session: Session, node_id: int, text: str) -> None:
        """Show `text` as another version of a reply; what was said behind that stays with it.

        A text that changes nothing makes no version. Raises RequestError or StoreError, with nothing
        changed.
        """
        old = session.conversation.nodes.get(node_id)
        if old is None or old.role != "assistant":
            raise RequestError(NO_SUCH_ANSWER)
        if text == old.content:
            return
        self.prompts.check_reply(text)
        edited = replace(old, content=text, status="complete", is_edited=True)
        self._show(session, old, self.journal.add_version(session, edited))

    def _show(self, session: Session, old: Node, edited: Node) -> None:
        # Of the version that was edited, which need not be the one that was talked about last.
        branch = session.nearest(old.id).fork(self.pool)
        session.conversation.add(edited)
        session.branches[edited.id] = branch
        session.publish()
        self.journal.finish(session, edited.id, branch)
        self.tiers.saving.changed(session)
