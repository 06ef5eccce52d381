// The page that asks for a password shows only that one was wrong; here also why a try has to wait. It has neither
// title nor landmarks of its own.
{
  const looking = new MutationObserver(() => {
    const box = document.querySelector('input[type=password]');
    if (!box && !document.querySelector('main')) return;
    looking.disconnect();
    if (!box) return; // this is the page behind it
    document.title = 'WarmChat';
    box.closest('.gradio-container, gradio-app').setAttribute('role', 'main');
  });
  looking.observe(document, { childList: true, subtree: true });

  const plain = window.fetch;
  window.fetch = async (...call) => {
    const response = await plain(...call);
    if (response.status === 429 && new URL(response.url).pathname.endsWith('/login')) {
      const { detail } = await response.clone().json();
      let sign = document.querySelector('#sign-in-wait');
      if (!sign) {
        sign = document.createElement('p');
        sign.id = 'sign-in-wait';
        sign.setAttribute('role', 'alert');
        const box = document.querySelector('input[type=password]');
        (box?.closest('.column, .panel, form') ?? document.body).append(sign);
      }
      sign.textContent = detail;
    }
    return response;
  };
}
