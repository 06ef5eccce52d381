// A page whose scripts the server refuses would stay blank: it shows what the server says of it instead.
addEventListener('error', async ({ target }) => {
  const address = target.src ?? target.href;
  if (!address || !['SCRIPT', 'LINK'].includes(target.tagName)) return;
  // A POST says where it comes from, as the script's request did.
  const answer = await fetch(address, { method: 'POST' });
  if (answer.status !== 403) return;
  const told = document.createElement('p');
  told.setAttribute('role', 'alert');
  told.style = 'max-width: 40em; margin: 15vh auto; padding: 1em; font: 1.1em/1.6 system-ui, sans-serif';
  told.textContent = await answer.text();
  document.body.replaceChildren(told);
}, true);
