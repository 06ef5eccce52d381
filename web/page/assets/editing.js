// Runs once, behind answers.js: an answer is edited in its place. The server has put the box with the text into
// #editor; it stays open, with what is written in it, until the server has taken that.
const unsaved = {}; // what was written in a box that went out of view, by the answer's id
const pencilOf = (id) => document.querySelector(`#chat .tools .edit-${id}`);

function edit(form) {
  const { id } = form.dataset, box = form.querySelector('textarea'), save = form.querySelector('.save');
  const before = box.value;
  let isSaving = false, hasFocus = false;
  const placeOf = () => pencilOf(id)?.closest('.message.bot');
  let place = placeOf();
  if (!place || place.querySelector(':scope > .editor')) return;
  box.value = unsaved[id] ?? before;
  delete unsaved[id];

  const release = () => { save.disabled = isSaving || !box.value.trim(); };
  const over = () => { isSaving = false; release(); }; // the last click is, well or not
  // The chat may be drawn anew; where it shows another version, the edit is over.
  const follow = new MutationObserver(() => {
    const now = placeOf();
    if (!now) {
      if (!isSaving) unsaved[id] = box.value;
      return close();
    }
    place = now;
    if (form.parentElement === now) return;
    const isWriting = hasFocus;
    now.append(form);
    if (isWriting) box.focus({ preventScroll: true });
  });

  function close() {
    follow.disconnect();
    window.removeEventListener('warmchat-clicked', over);
    const comesBack = hasFocus;
    form.remove();
    if (comesBack) place.querySelector('.tools .edit')?.focus();
  }

  function submit() {
    if (!box.value.trim() || save.disabled) return;
    if (box.value === before) return close();
    isSaving = save.disabled = true;
    say('edit', id, box.value);
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    submit();
  });
  form.querySelector('.cancel').addEventListener('click', close);
  form.addEventListener('keydown', (event) => {
    if (event.isComposing || event.keyCode === 229) return; // an input method's, as for Chinese
    if (event.key === 'Escape') close();
    else if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) submit();
    else return;
    event.preventDefault();
    event.stopPropagation(); // Escape is for the box alone
  });
  box.addEventListener('input', release);
  form.addEventListener('focusin', () => (hasFocus = true));
  form.addEventListener('focusout', () => queueMicrotask(() => { // a box that is taken out has not been left
    if (form.isConnected) hasFocus = form.contains(document.activeElement);
  }));
  window.addEventListener('warmchat-clicked', over);
  place.append(form);
  follow.observe(document.querySelector('#chat'), { childList: true, subtree: true });
  box.focus({ preventScroll: true });
  form.scrollIntoView({ block: 'nearest' });
}

whenThere('#editor', (came) => {
  let asking = null; // Gradio may draw the same twice
  new MutationObserver(() => {
    const form = came.querySelector('form');
    if (!form || form.dataset.asking === asking) return;
    asking = form.dataset.asking;
    edit(form.cloneNode(true));
  }).observe(came, { childList: true, subtree: true });
});
