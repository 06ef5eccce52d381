// Runs once, beside the list of conversations: what is written and not sent is kept for each conversation, over
// switching, a reload and a restart of the server, as long as the tab is open.
{
  const KEY = 'warmchat-drafts', NEW = 'new', MOST = 50;
  const box = () => document.querySelector('#message textarea');
  const current = () => element.querySelector('[aria-current]')?.dataset.id ?? NEW;
  const read = () => JSON.parse(sessionStorage.getItem(KEY) ?? '{}');
  let shown = null; // the conversation that the box belongs to
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

  function follow() {
    if (!element.querySelector('.shelf') || !box() || document.querySelector('#search :is(input, textarea)')?.value) return;
    const id = current();
    if (id === shown) return;
    const before = shown;
    shown = id;
    if (before === null || isLeaving) {
      isLeaving = false;
      if (before !== null || !box().value) fill(read()[id] ?? '');
    } else { // a new conversation is in the list now
      keep(before, '');
      keep(id, box().value);
    }
  }

  document.addEventListener('input', ({ target }) => {
    if (target === box() && shown !== null) keep(shown, target.value);
  });
  document.addEventListener('click', ({ target }) => {
    if (target.closest?.('.shelf [data-act=open], #new-chat, #new-chat-phone')) isLeaving = true;
    if (target.closest?.('#message .submit-button')) keep(shown, '');
  }, true);
  document.addEventListener('keydown', ({ key, target, shiftKey, isComposing, defaultPrevented }) => {
    if (key === 'Enter' && target === box() && !shiftKey && !isComposing && !defaultPrevented) keep(shown, '');
  });
  new MutationObserver(follow).observe(element, { childList: true, subtree: true, attributes: true });
  follow();
}
