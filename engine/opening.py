"""How a turn opens: which branch it goes on from, what of its prompt has KV already.

Owns: the change that a session goes through when a request is taken, all of it after everything
that can be refused. Does not know: steps, sampling, when the turn ends.
"""

from dataclasses import dataclass

from engine.block_pool import BlockPool
from engine.chat_template import Message
from engine.conversation import Node
from engine.journal import Journal
from engine.ledger import Ledger
from engine.metrics import KVSource
from engine.pace import Pace
from engine.prefixes import Prefixes
from engine.prompt import Prompt, PromptBuilder
from engine.sampling import Sampler
from engine.session import Branch, Session
from engine.shift import Shift
from engine.streaming import ReplyText
from engine.turn import Turn, TurnRequest

HIDDEN = "The conversation no longer fits; the model now sees it from message {first} on."


@dataclass(frozen=True, slots=True)
class Opening:
    """Makes turns of requests."""

    pool: BlockPool
    prompts: PromptBuilder
    prefixes: Prefixes
    journal: Journal
    pace: Pace
    shift: Shift
    vocab_size: int

    def source(self, session: Session, request: TurnRequest) -> Branch:
        """The branch whose tokens the request's prompt begins with."""
        return session.nearest(_last(session.kept(request.keep)))

    def plan(self, session: Session, request: TurnRequest) -> Prompt:
        """What the request's prompt is; nothing is changed. Raises RequestError."""
        if request.session_id is None:
            return self.prompts.completion(session.active, request.message)
        path = session.kept(request.keep)
        before = [Message(n.role, n.content) for n in path]
        return self.prompts.chat(
            self.source(session, request),
            before,
            request.message,
            request.setting,
            request.params.max_tokens,
        )

    def open(self, session: Session, request: TurnRequest, prompt: Prompt) -> Turn:
        """Take the request: the message is stored, the branch has the prompt's tokens."""
        path = session.kept(request.keep)
        message, reply = self.journal.add_turn(session, _last(path), request.message)
        branch = session.take(_last(path), self.pool)
        session.conversation.add(message)
        session.publish()
        session.conversation.add(reply)
        session.branches[reply.id] = branch
        self._take_tokens(session, branch, request, prompt)
        return Turn(
            request=request,
            session=session,
            branch=branch,
            node_id=reply.id,
            sampler=Sampler(request.params, branch.sequence.tokens, self.vocab_size),
            reply=ReplyText(branch.sequence.tokens, request.params.stop),
            num_prompt=prompt.num_tokens,
            prefill_total=prompt.num_tokens - branch.sequence.num_cached_tokens,
        )

    def _take_tokens(
        self, session: Session, branch: Branch, request: TurnRequest, prompt: Prompt
    ) -> None:
        sequence, plan, clock = branch.sequence, prompt.plan, request.clock
        had_kv_for = sequence.num_cached_tokens
        said = min(plan.num_kept, branch.ledger.num_tokens)  # not what was to be prefilled ahead
        self.shift.take(branch, plan)
        branch.ledger = Ledger(plan.segments)
        if session.id is not None:
            self.prefixes.share(session.id.owner, sequence)
        # The last token's logits are wanted even when its KV is there already.
        known = min(sequence.num_cached_tokens, prompt.num_tokens - 1)
        sequence.truncate_kv(known, self.pool)
        clock.reused_tokens = known
        clock.saved_s = self.pace.prefill_s(known)
        if known < said - 1 and had_kv_for < said:
            clock.source = KVSource.RECOMPUTED
        if prompt.num_hidden:
            clock.notes.append(HIDDEN.format(first=prompt.num_hidden + 1))
        branch.num_hidden = clock.first_visible = prompt.num_hidden


def _last(path: list[Node]) -> int | None:
    return path[-1].id if path else None
