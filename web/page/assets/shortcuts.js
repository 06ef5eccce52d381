// Runs once, beside the list of conversations, behind column.js: what the keyboard does beside keys.js, and the
// dialog that says all of it. Mod is ⌘ on a Mac, where Ctrl moves the cursor, and Ctrl elsewhere. Browsers have uses
// of their own for these combinations, but let a page go first.
{
  const isMac = /^(Mac|iP)/.test(navigator.platform);
  const NAMES = isMac ? { Mod: '⌘', Shift: '⇧', Escape: 'Esc' } : { Mod: 'Ctrl', Escape: 'Esc' };
  const PLACES = { Comma: [',', '<'], Slash: ['/', '?'] }; // of keys that other alphabets give other signs

  const part = (selector) => document.querySelector(selector);
  const goToBox = () => part('#message textarea')?.focus();
  let dialog = null; // while it is open
  let before = null; // where the keyboard was when the settings were opened

  function begin() {
    part('#new-chat').click();
    goToBox();
  }

  function search() {
    if (!part('#conversations.open')) toggle(':not(.right)');
    const box = part('#search :is(input, textarea)');
    box.focus({ preventScroll: true }); // it may be on its way in
    box.select();
  }

  function toggleList() {
    if (part('#conversations.open')?.contains(document.activeElement)) goToBox();
    toggle(':not(.right)');
  }

  function toggleSettings() {
    const button = part('#drawer-buttons [data-tab=settings]');
    const isOpen = button.getAttribute('aria-expanded') === 'true';
    if (!isOpen) before = document.activeElement;
    button.focus(); // from there Escape closes them
    button.click();
    if (isOpen) before?.focus();
  }

  // What each does, its keys, and how it is done; what has no function is done in keys.js, or by Gradio.
  const SHORTCUTS = [
    ['key_send', ['Enter']],
    ['key_line', ['Shift+Enter']],
    ['key_stop', ['Escape']],
    ['key_box', ['/']],
    ['new_chat', ['Mod+Shift+O'], begin],
    ['key_search', ['Mod+K'], search],
    ['key_list', ['Mod+B'], toggleList],
    ['key_settings', ['Mod+,'], toggleSettings],
    ['key_shortcuts', ['?', 'Mod+/'], showShortcuts],
  ];
  const ACTS = Object.fromEntries(SHORTCUTS.flatMap(([, keys, act]) => (act ? keys.map((key) => [key, act]) : [])));

  const names = (keys) => keys.split('+').map((key) => NAMES[key] ?? key);
  const signs = (keys) => names(keys).map((name) => `<kbd>${name}</kbd>`).join(' ');

  function showShortcuts() {
    if (dialog) return;
    dialog = document.createElement('dialog');
    dialog.id = 'shortcuts-dialog';
    dialog.setAttribute('aria-labelledby', 'shortcuts-title');
    const rows = SHORTCUTS.map(([key, keys]) => `<div><dt>${word(key)}</dt><dd>${keys.map(signs).join('<i></i>')}</dd></div>`);
    dialog.innerHTML = `<div><h2 id="shortcuts-title">${word('shortcuts')}</h2>
      <button type="button" aria-label="${word('close')}"></button><dl>${rows.join('')}</dl></div>`;
    dialog.querySelector('button').addEventListener('click', () => dialog.close());
    dialog.addEventListener('click', ({ target }) => target === dialog && dialog.close()); // outside of what fills it
    dialog.addEventListener('close', () => {
      dialog.remove();
      dialog = null;
    });
    (element.closest('.contain') ?? document.body).append(dialog); // where its font reaches it
    dialog.showModal();
  }

  function pressed({ key, code, ctrlKey, metaKey, shiftKey, altKey }) {
    const [mod, other] = isMac ? [metaKey, ctrlKey] : [ctrlKey, metaKey];
    if (other || altKey) return null;
    const isForeign = key.length === 1 && key > '~';
    const sign = isForeign ? PLACES[code]?.[Number(shiftKey)] ?? code.replace('Key', '') : key;
    const isLetter = /^[a-z]$/i.test(sign);
    return `${mod ? 'Mod+' : ''}${shiftKey && isLetter ? 'Shift+' : ''}${isLetter ? sign.toUpperCase() : sign}`;
  }

  document.addEventListener('keydown', (event) => {
    if (event.isComposing || event.keyCode === 229 || event.defaultPrevented) return; // for an input method, or used
    const keys = pressed(event), act = ACTS[keys];
    const isTyped = !keys?.startsWith('Mod') && event.target.closest?.('input, textarea, select, [contenteditable]');
    if (!act || isTyped) return;
    event.preventDefault();
    if (!event.repeat && (act === showShortcuts || part('body.knows'))) act();
  });

  window.addEventListener('keydown', (event) => { // the page behind it hears nothing; Escape closes it by itself
    if (!dialog) return;
    event.stopPropagation();
    if (pressed(event) === '?') dialog.close();
  }, true);

  function hint(selector, keys, labelled) {
    whenThere(selector, (place) => {
      const shown = document.createElement('kbd');
      shown.setAttribute('aria-hidden', 'true');
      shown.textContent = names(keys).join(' ');
      place.append(shown);
      const spoken = keys.replace('Mod', isMac ? 'Meta' : 'Control');
      whenThere(labelled, (control) => control.setAttribute('aria-keyshortcuts', spoken));
    });
  }

  hint('#new-chat', 'Mod+Shift+O', '#new-chat');
  hint('#search', 'Mod+K', '#search :is(input, textarea)');
  window.addEventListener('warmchat-shortcuts', showShortcuts);
}
