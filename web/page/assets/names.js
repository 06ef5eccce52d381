// Runs once, behind column.js: what Gradio names in English on every page, or does not name at all.
{
  // What it says, and the word of ours for it; without one, what it says behind its English.
  const NAMES = [
    [/^(?:number input|range slider) for (.+)$/s],
    [/^Select example \d+: (.+)$/s],
    [/^Toggle Sidebar$/, 'sidebar'],
    [/^chatbot conversation$/, 'conversation'],
    [/^Loading response$/, 'thinking'],
    [/^Copy$/, 'copy'],
    [/^Close$/, 'close'],
  ];

  function ours(name) {
    for (const [gradios, key] of NAMES) {
      const found = gradios.exec(name);
      if (found) return key ? word(key) : found[1];
    }
    return name;
  }

  const KINDS = ['aria-label', 'title'];

  function rename(node) {
    for (const kind of KINDS) {
      const name = node.getAttribute(kind);
      if (ours(name) !== name) node.setAttribute(kind, ours(name)); // the same would be told as a change, without end
    }
  }

  const renamed = new MutationObserver((changes) => changes.forEach(({ target }) => rename(target)));
  eachNew('[aria-label], [title]', (node) => {
    if (!KINDS.some((kind) => ours(node.getAttribute(kind)) !== node.getAttribute(kind))) return;
    rename(node);
    renamed.observe(node, { attributeFilter: KINDS });
  });

  const name = (selector, key) => eachNew(selector, (node) => node.setAttribute('aria-label', word(key)));
  name('#message .submit-button', 'send');
  name('#message .stop-button', 'completion_stop');
  name('#chat .edit-textarea', 'edit_message');

  // Its label holds a button, too, and names that.
  eachNew('label:has(button) textarea', (box) => {
    box.setAttribute('aria-label', box.closest('label').querySelector('[data-testid=block-info]')?.textContent.trim() ?? '');
  });

  // The box of a task is named by the task.
  eachNew('#chat .prose li > input[type=checkbox], #chat .prose li > p > input[type=checkbox]', (box) => {
    box.setAttribute('aria-label', box.parentElement.textContent.trim().split('\n')[0]);
  });

  // What folds says so, and holds no button of its own.
  function folds(selector, open) {
    eachNew(selector, (button) => {
      const mark = () => button.setAttribute('aria-expanded', button.classList.contains(open));
      new MutationObserver(mark).observe(button, { attributeFilter: ['class'] });
      mark();
    });
  }
  folds('#chat .thought-group > [role=button]', 'expanded');
  folds('.label-wrap', 'open');
  eachNew('#chat .thought-group .arrow button', (button) => (button.inert = true));
  eachNew('.label-wrap .icon', (icon) => icon.setAttribute('aria-hidden', 'true'));
  eachNew('.toast-header[role=button]', (header) => {
    for (const kind of ['role', 'tabindex']) header.removeAttribute(kind);
  });
}
