// Runs once, beside the list of conversations: what state the page is in, as classes: whether it knows its
// conversation (of the body), and whether nothing is said yet (of the column with chat and composer).
{
  const chat = () => document.querySelector('#chat');
  const mark = () => {
    document.body.classList.toggle('knows', Boolean(element.querySelector('.shelf')));
    chat()?.parentElement.classList.toggle('empty', Boolean(chat().querySelector('.placeholder')));
  };
  const watch = (part) => new MutationObserver(mark).observe(part, { childList: true, subtree: true });
  watch(element);
  whenThere('#chat', (found) => {
    watch(found);
    mark();
  });
}
