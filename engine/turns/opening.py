"""How a turn opens: which branch it goes on from, what of its prompt has KV already.

Owns: the change that a session goes through when a request is taken, all of it after everything
that can be refused. Does not know: steps, sampling, when the turn ends.
"""

from dataclasses import dataclass, replace

from engine.conversations import Branch, Journal, Node, Session
from engine.metrics import KVSource
from engine.scheduling import BlockPool, Guesses, Pace, Sampler, SamplingParams
from engine.text import SPLIT, THINKING, Ledger, plain_offsets
from engine.tiers import Prefixes, Shift
from engine.turns.placing import Place, last
from engine.turns.prompt import Prompt, PromptBuilder
from engine.turns.turn import Earlier, Turn, TurnRequest

OPENING_TOKENS = 8  # of the mark that opens thoughts, at most
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

    def plan(self, session: Session, request: TurnRequest, place: Place) -> Prompt:
        """What the request's prompt is; nothing is changed. Raises RequestError."""
        if request.session_id is None:
            return self.prompts.completion(session.active, request.message)
        source, setting = session.nearest(place.leaf), session.dated(request.setting)
        if request.continues:
            return self.prompts.more(source, place.before, setting, request.params.max_tokens)
        message = request.message if place.question is None else place.question.content
        return self.prompts.chat(source, place.before, message, setting, request.params.max_tokens)

    def take(self, session: Session, request: TurnRequest, place: Place) -> Node:
        """Take the request: the message is stored and shown, with a reply that has no text yet.

        Returns the reply. Raises StoreError, with nothing changed.
        """
        reply = self._reply(session, request, place)
        branch = session.take(place.leaf, self.pool)
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
        self._begin_grammar(request, prompt)
        return Turn(
            request=request,
            session=session,
            branch=branch,
            node_id=reply.id,
            sampler=Sampler(params, tokens, self.vocab_size, said, request.constraint),
            reply=self.prompts.reply_text(tokens, params.stop, earlier.text),
            num_prompt=prompt.num_tokens,
            prefill_total=prompt.num_tokens - branch.sequence.num_cached_tokens,
            guesses=Guesses(tokens),
            earlier=earlier,
        )

    def _begin_grammar(self, request: TurnRequest, prompt: Prompt) -> None:
        if request.constraint is not None:
            options = request.setting.template_options
            may_think = self.prompts.can_think and options.get(THINKING, True) is not False
            request.constraint.begin(
                may_think=may_think and request.session_id is not None,
                in_thoughts=prompt.opens_thoughts,
            )

    def _num_said(self, earlier: Earlier, params: SamplingParams) -> int:
        """How many tokens of the prompt are the reply's own, for penalties that count them."""
        if not (params.has_penalties and earlier.text):
            return 0
        return len(earlier.ends) or self.prompts.num_reply_tokens(earlier.text)

    def _reply(self, session: Session, request: TurnRequest, place: Place) -> Node:
        """The reply that is about to stream, and stored; what comes before it is shown."""
        if request.continues:
            return self._unfinished_reply(session, place.kept[-1])
        question = place.question
        if question is None:
            before = self._added(session, place)
            question, reply = self.journal.add_turn(session, before, request.message)
        else:
            reply = self.journal.add_reply(session, question.id)
        session.conversation.add(question)
        session.publish()
        return reply

    def _added(self, session: Session, place: Place) -> int | None:
        """The message behind which the request's stands, once those between are in the conversation."""
        before = last(place.kept)
        if place.added:
            self.journal.move_head(session, before)
        for message in place.added:
            before = self.journal.add(session, *message).id
        return before

    def _unfinished_reply(self, session: Session, old: Node) -> Node:
        """The last reply, to go on; a copy of it if it was answered, which stays as it was."""
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
        sequence.wish_states(self.pool, *_ways_back(prompt))
        clock.reused_tokens = known
        clock.saved_s = self.pace.prefill_s(known)
        if known < said - 1 and had_kv_for < said:
            clock.source = KVSource.RECOMPUTED
        clock.opens_thinking = prompt.opens_thoughts
        if prompt.num_hidden:
            clock.notes.append(HIDDEN.format(first=prompt.num_hidden + 1))
        branch.num_hidden = clock.first_visible = prompt.num_hidden


def _ways_back(prompt: Prompt) -> list[int]:
    """Tokens of a prompt behind which states are worth keeping.

    Whoever changes the message goes back to what was said before it, a new answer to the last token, and the next
    prompt to before the thoughts that this one opens: the template drops them there.
    """
    last = prompt.num_tokens - 1
    opening = [last + 1 - OPENING_TOKENS] if prompt.opens_thoughts else []
    return [min(Ledger(prompt.plan.kept).num_tokens, last), *opening, last]


def _reopened(branch: Branch, text: str) -> Earlier:
    """A reply that goes on; what the ledger has of it is taken out, to come back as one with more."""
    if not text:
        return Earlier()
    ledger, reply = branch.ledger.open_reply()
    if reply is None:
        return Earlier(text)
    assert reply.ends is not None
    branch.ledger = ledger
    spoken = reply.text.replace(SPLIT, "")
    return Earlier(text, tuple(plain_offsets(reply.text, reply.ends)), spoken)
