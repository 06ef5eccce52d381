// An image of another host is not loaded by itself: the Content-Security-Policy blocks it, and here it
// becomes a word with its host that opens it in a new tab. Forms in messages are never sent.
(() => {
  const WORDS = __WORDS__;
  const CHIP = 'remote-image';
  const said = (key) => (WORDS[document.documentElement.lang] ?? WORDS.en)[key];
  const inMessage = (node) => node.closest?.('.message, .prose');

  function hostOf(image) {
    try {
      const url = new URL(image.currentSrc || image.src);
      return /^https?:$/.test(url.protocol) && url.origin !== location.origin ? url : null;
    } catch {
      return null;
    }
  }

  function fold(image) {
    const url = hostOf(image);
    if (!url || !inMessage(image)) return;
    const words = said('remote_image').replace('{host}', url.host);
    image.dataset.remote = url.href;
    for (const name of ['src', 'srcset', 'width', 'height', 'style']) image.removeAttribute(name);
    image.alt = image.alt ? `${words} — ${image.alt}` : words;
    image.title = said('remote_image_open').replace('{url}', url.href);
    image.classList.add(CHIP);
    image.setAttribute('role', 'link');
    image.tabIndex = 0;
  }

  function open(event) {
    const image = event.target.closest?.(`img.${CHIP}`);
    if (!image || (event.type === 'keydown' && event.key !== 'Enter')) return;
    event.preventDefault();
    event.stopPropagation();
    window.open(image.dataset.remote, '_blank', 'noopener,noreferrer');
  }

  document.addEventListener('error', (event) => {
    if (event.target.tagName === 'IMG') fold(event.target);
  }, true);
  document.addEventListener('click', open, true);
  document.addEventListener('keydown', open, true);
  document.addEventListener('submit', (event) => {
    if (inMessage(event.target)) event.preventDefault();
  }, true);
})();
