// Runs once, below the text box: sends the files that are chosen, dropped or pasted to the server.
const MAX_BYTES = 20 * 2 ** 20;

async function add(files) {
  const chosen = [...files];
  if (!chosen.length) return;
  element.querySelector('.waiting')?.setAttribute('aria-busy', 'true');
  const large = chosen.filter((file) => file.size > MAX_BYTES).map((file) => file.name);
  const sent = [];
  for (const file of chosen.filter((file) => file.size <= MAX_BYTES)) {
    let path = 'lost';
    try {
      path = (await upload(file)).path;
    } catch (error) {
      console.warn(error);
    }
    sent.push({ path, name: file.name });
  }
  trigger('click', { act: 'add', files: sent, large });
  document.querySelector('#message textarea')?.focus();
}

element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-act]');
  if (!button) return;
  if (button.dataset.act === 'remove') return trigger('click', { act: 'remove', index: button.dataset.index });
  const picker = document.createElement('input');
  picker.type = 'file';
  picker.multiple = true;
  picker.addEventListener('change', () => add(picker.files));
  picker.click();
});

const holdsFiles = (event) => event.dataTransfer?.types.includes('Files');
const mark = (isOver) => document.body.classList.toggle('dropping', isOver);
document.addEventListener('dragover', (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  mark(true);
}, true);
document.addEventListener('dragleave', (event) => {
  if (!event.relatedTarget) mark(false);
}, true);
document.addEventListener('drop', (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  event.stopPropagation();
  mark(false);
  add(event.dataTransfer.files);
}, true);
document.addEventListener('paste', (event) => {
  const files = event.clipboardData?.files ?? [];
  if (!files.length || event.clipboardData.types.includes('text/plain')) return;
  event.preventDefault();
  add(files);
}, true);
