"""How a turn opens: which branch it goes on from, what of its prompt has KV already.

Owns: the change that a session goes through when a request is taken, all of it after everything
that can be refused. Does not know: steps, sampling, when the turn ends.
"""

from dataclasses import dataclass, replace

from engine.conversations import Branch, Journal, Node, Session
from engine.errors import RequestError
from engine.metrics import KVSource
from engine.scheduling import BlockPool, Guesses, Pace, Sampler, SamplingParams
from engine.text import Ledger, Message, ReplyText, plain_offsets
from engine.tiers import Prefixes, Shift
from engine.turns.prompt import Prompt, PromptBuilder
from engine.turns.turn import Earlier, Turn, TurnRequest

NOTHING_TO_CONTINUE = "The last answer is whole; there is nothing to continue."
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
        return session.nearest(_leaf(session, request))

    def plan(self, session: Session, request: TurnRequest) -> Prompt:
        """What the request's prompt is; nothing is changed. Raises RequestError."""
        if request.session_id is None:
            return self.prompts.completion(session.active, request.message)
        source, setting = self.source(session, request), session.dated(request.setting)
        before = [Message(n.role, n.content) for n in session.kept(request.keep)]
        if request.continues:
            return self.prompts.more(source, before, setting, request.params.max_tokens)
        return self.prompts.chat(
            source, before, request.message, setting, request.params.max_tokens
        )

    def take(self, session: Session, request: TurnRequest) -> Node:
        """Take the request: the message is stored and shown, with a reply that has no text yet.

        Returns the reply. Raises StoreError, with nothing changed.
        """
        leaf = _leaf(session, request)
        reply = self._reply(session, request)
        branch = session.take(leaf, self.pool)
        session.conversation.add(reply)
        session.branches[reply.id] = branch
        return reply

    def open(self, session: Session, request: TurnRequest, prompt: Prompt, reply: Node) -> Turn:
        """Begin the reply of a request that was taken: its branch has the prompt's tokens."""
        branch = session.branches[reply.id]
        self._take_tokens(session, branch, request, prompt)
        earlier = _reopened(branch, reply.content)
        tokens, params = branch.sequence.tokens, request.params
        said = tokens[-num_said:] if (num_said := self._num_said(earlier, params)) else ()
        return Turn(
            request=request,
            session=session,
            branch=branch,
            node_id=reply.id,
            sampler=Sampler(params, tokens, self.vocab_size, said),
            reply=ReplyText(tokens, params.stop),
            num_prompt=prompt.num_tokens,
            prefill_total=prompt.num_tokens - branch.sequence.num_cached_tokens,
            guesses=Guesses(tokens),
            earlier=earlier,
        )

    def _num_said(self, earlier: Earlier, params: SamplingParams) -> int:
        """How many tokens of the prompt are the reply's own, for penalties that count them."""
        if not (params.has_penalties and earlier.text):
            return 0
        return len(earlier.ends) or self.prompts.num_reply_tokens(earlier.text)

    def _reply(self, session: Session, request: TurnRequest) -> Node:
        """The reply that is about to stream, and stored; what comes before it is shown."""
        if request.continues:
            return self._unfinished_reply(session)
        question = _said_already(session, request)
        if question is None:
            before = _last(session.kept(request.keep))
            question, reply = self.journal.add_turn(session, before, request.message)
        else:
            reply = self.journal.add_reply(session, question.id)
        session.conversation.add(question)
        session.publish()
        return reply

    def _unfinished_reply(self, session: Session) -> Node:
        """The last reply, to go on; a copy of it if it was answered, which stays as it was."""
        old = _unfinished(session)
        if session.conversation.has_answers(old.id):
            return self.journal.add_version(session, replace(old, status="streaming"))
        return self.journal.reopen(session, old)

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
        known = sequence.num_cached_tokens  # less, where a state is that of fewer tokens
        # Whoever changes the message goes back to what was said before it, a new answer to its last token.
        last = prompt.num_tokens - 1
        sequence.wish_states(self.pool, min(Ledger(plan.kept).num_tokens, last), last)
        clock.reused_tokens = known
        clock.saved_s = self.pace.prefill_s(known)
        if known < said - 1 and had_kv_for < said:
            clock.source = KVSource.RECOMPUTED
        clock.opens_thinking = prompt.opens_thoughts
        if prompt.num_hidden:
            clock.notes.append(HIDDEN.format(first=prompt.num_hidden + 1))
        branch.num_hidden = clock.first_visible = prompt.num_hidden


def _leaf(session: Session, request: TurnRequest) -> int | None:
    """The message behind which the request goes on."""
    if request.continues:
        return _unfinished(session).id
    question = _said_already(session, request)
    return _last(session.kept(request.keep)) if question is None else question.id


def _unfinished(session: Session) -> Node:
    """The last message, a reply that was cut off. Raises RequestError if it is anything else."""
    path = session.kept(None)
    if not path or not path[-1].is_unfinished:
        raise RequestError(NOTHING_TO_CONTINUE)
    return path[-1]


def _said_already(session: Session, request: TurnRequest) -> Node | None:
    """The shown message at the place of the request's, if it says the same: a new reply is wanted."""
    path = session.kept(None)
    if request.keep is None or request.keep >= len(path):
        return None
    node = path[request.keep]
    return node if (node.role, node.content) == ("user", request.message) else None


def _reopened(branch: Branch, text: str) -> Earlier:
    """A reply that goes on; what the ledger has of it is taken out, to come back as one with more."""
    if not text:
        return Earlier()
    ledger, reply = branch.ledger.open_reply()
    if reply is None:
        return Earlier(text)
    assert reply.ends is not None
    branch.ledger = ledger
    return Earlier(text, tuple(plain_offsets(reply.text, reply.ends)))


def _last(path: list[Node]) -> int | None:
    return path[-1].id if path else None
