// A link to what is shown: the run on the stage, the tab, and in Explore the site and the step.
(query) => {
  const link = new URLSearchParams(query);
  const tab = document.querySelector('#tabs button[role="tab"][aria-selected="true"]');
  const name = tab?.dataset.tabId;
  if (name && name !== 'compare') link.set('tab', name);
  const heat = document.querySelector('#heat .heat');
  if (name === 'explore' && heat) {
    link.set('step', Number(heat.dataset.step) + 1);
    if (heat.dataset.site) link.set('site', heat.dataset.site);
  }
  navigator.clipboard.writeText(`${location.origin}${location.pathname}?${link}`);
}
