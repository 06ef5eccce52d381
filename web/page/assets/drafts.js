// Runs once, beside the list of conversations: what is written and not sent is kept for each conversation, over
// switching, a reload and a restart of the server, as long as the tab is open. What was sent is kept until the server
// has answered it: a page that is made anew and does not show it has it in the box again.
{
  const KEY = 'warmchat-drafts', SENT = 'warmchat-sent', NEW = 'new', MOST = 50;
  const box = () => document.querySelector('#message textarea');
  const current = () => element.querySelector('[aria-current]')?.dataset.id ?? NEW;
  const read = () => JSON.parse(sessionStorage.getItem(KEY) ?? '{}');
  let shown = null; // the conversation that the box belongs to
  let typedFor = null; // the one that what is in the box was kept for
  let isLeaving = false; // for another one, by a click

  function keep(id, text) {
    const { [id]: _, ...others } = read();
    const drafts = text ? { ...others, [id]: text } : others;
    sessionStorage.setItem(KEY, JSON.stringify(Object.fromEntries(Object.entries(drafts).slice(-MOST))));
  }

  function fill(text) {
    if (box().value === text) return;
    box().value = text;
    box().dispatchEvent(new Event('input', { bubbles: true }));
  }

  const said = () => [...document.querySelectorAll('#chat .user.message .typed')].map((part) => part.textContent.trim());

  function send() {
    sessionStorage.setItem(SENT, JSON.stringify({ text: box().value, behind: said().length }));
    keep(shown ?? current(), '');
  }

  // What was sent last stands in front of what was written behind it.
  function takeBack() {
    const { text, behind } = JSON.parse(sessionStorage.getItem(SENT) ?? '{"text": ""}');
    sessionStorage.removeItem(SENT);
    const hasArrived = said().length > behind && said().at(-1) === text.trim();
    if (hasArrived || box().value.includes(text)) return;
    fill([text, box().value].filter(Boolean).join('\n\n'));
  }

  function arrive(id) { // at the conversation that the page opens with
    if (box().value) {
      if (typedFor !== id) keep(typedFor, '');
      keep(id, box().value);
    } else fill(read()[id] ?? '');
    if (!sessionStorage.getItem(SENT)) return;
    if (id === NEW) takeBack();
    else whenThere('#chat .user.message .typed', takeBack);
  }

  function follow() {
    if (!element.querySelector('.shelf') || !box() || document.querySelector('#search :is(input, textarea)')?.value) return;
    const id = current();
    if (id === shown) return;
    const before = shown;
    shown = id;
    if (before === null) arrive(id);
    else if (isLeaving) fill(read()[id] ?? '');
    else { // a new conversation is in the list now
      keep(before, '');
      keep(id, box().value);
    }
    isLeaving = false;
  }

  document.addEventListener('input', ({ target }) => {
    if (target !== box()) return;
    typedFor = shown ?? new URL(location.href).searchParams.get('c') ?? NEW;
    keep(typedFor, target.value);
  });
  document.addEventListener('click', ({ target }) => {
    if (target.closest?.('.shelf [data-act=open], #new-chat, #new-chat-phone')) isLeaving = true;
    if (target.closest?.('#message .submit-button')) send();
  }, true);
  document.addEventListener('keydown', ({ key, target, shiftKey, isComposing, defaultPrevented }) => {
    if (key === 'Enter' && target === box() && !shiftKey && !isComposing && !defaultPrevented) send();
  });
  window.addEventListener('warmchat-answered', () => sessionStorage.removeItem(SENT)); // streams.js
  new MutationObserver(follow).observe(element, { childList: true, subtree: true, attributes: true });
  follow();
}
