// Runs once, behind column.js: the chat follows what comes while its end is in view, and stays where a person
// has scrolled. It looks at heights only when something has grown: Gradio, which scrolls for each part of each
// message at each update, scrolls nothing here.
whenThere('#chat .bubble-wrap', (scroller) => {
  const NEAR = 4; // pixels from the end, which is not always a whole number of them
  let follows = true;
  let before = { top: 0, height: 0 }; // as of the last scrolling, a person's or ours
  const now = () => ({ top: scroller.scrollTop, height: scroller.scrollHeight });
  const fromEnd = () => scroller.scrollHeight - scroller.clientHeight - scroller.scrollTop;

  const button = document.createElement('button');
  button.id = 'to-end';
  button.title = word('to_end');
  button.setAttribute('aria-label', word('to_end'));
  button.hidden = true;
  scroller.after(button);

  function follow(does) {
    follows = does;
    scroller.classList.toggle('follows', does);
    button.hidden = does || fromEnd() <= NEAR;
  }

  function toEnd() {
    scroller.scrollTop = scroller.scrollHeight;
    before = now();
    follow(true);
  }

  const leave = () => scroller.scrollTop > 0 && follow(false);

  scroller.scrollTo = () => {}; // Gradio's
  button.addEventListener('click', toEnd);
  scroller.addEventListener('wheel', (event) => event.deltaY < 0 && leave(), { passive: true });
  scroller.addEventListener('touchmove', leave, { passive: true });
  scroller.addEventListener('keydown', (event) => {
    const isTyping = event.target.matches('textarea, input');
    if (!isTyping && ['PageUp', 'ArrowUp', 'Home'].includes(event.key)) leave();
  });
  scroller.addEventListener('scroll', () => {
    const { top, height } = now();
    const isUp = top < before.top - 1 && height >= before.height; // no shrinking, which moves it too
    before = { top, height };
    if (isUp) follow(fromEnd() <= NEAR);
    else if (fromEnd() <= NEAR) follow(true);
  }, { passive: true });

  const grown = new ResizeObserver(() => (follows ? toEnd() : follow(false)));
  grown.observe(scroller);

  // A conversation is drawn where there was none, or a person says something.
  const rows = new MutationObserver((changes) => {
    const said = changes.flatMap((change) => [...change.addedNodes]);
    if (said.some((node) => node.classList?.contains('user-row'))) toEnd();
  });
  function drawn() {
    const wrap = scroller.querySelector('.message-wrap');
    if (!wrap) return;
    grown.observe(wrap);
    rows.disconnect();
    rows.observe(wrap, { childList: true });
    toEnd();
  }
  new MutationObserver(drawn).observe(scroller, { childList: true });
  drawn();

  // Another conversation is opened: its messages take the places of those of the last one.
  const current = () => element.querySelector('[aria-current]')?.dataset.id;
  let open = current();
  new MutationObserver(() => {
    const other = current();
    if (other === open) return;
    if (other && open) toEnd();
    open = other;
  }).observe(element, { childList: true, subtree: true, attributes: true });
});
