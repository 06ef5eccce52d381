// The page that asks for a password shows only that one was wrong; here also why a try has to wait.
{
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
