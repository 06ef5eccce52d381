// Runs once, behind answers.js: an answer is edited in its place. The server has put the box with the text into
// #editor; it stays open, with what is written in it, until the server has taken that.
const pencilOf = (id) => document.querySelector(`#chat .tools .edit-${id}`);

function edit(form) {
  const { id } = form.dataset, box = form.querySelector('textarea'), save = form.querySelector('.save');
  const before = box.value;
  const placeOf = () => pencilOf(id)?.closest('.message.bot');
  let place = placeOf();
  if (!place || place.querySelector('.editor')) return;

  const release = () => { save.disabled = !box.value.trim(); }; // the last click is over, well or not
  // The chat may be drawn anew; where it shows another version, the edit is over.
  const follow = new MutationObserver(() => {
    const now = placeOf();
    if (!now) return close();
    if (form.parentElement !== now) now.append(form);
    place = now;
  });

  function close() {
    follow.disconnect();
    window.removeEventListener('warmchat-clicked', release);
    form.remove();
    place.querySelector('.tools .edit')?.focus();
  }

  function submit() {
    if (!box.value.trim() || save.disabled) return;
    if (box.value === before) return close();
    save.disabled = true;
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
  window.addEventListener('warmchat-clicked', release);
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
