// A link to what is shown: the run on the stage or the video, the tab, and in Explore the site and the step.
(query, video) => {
  const tab = document.querySelector('#tabs button[role="tab"][aria-selected="true"]');
  const name = tab?.dataset.tabId;
  const link = new URLSearchParams(name === 'video' && video ? video : query);
  if (name && name !== 'compare') link.set('tab', name);
  const heat = document.querySelector('#heat .heat');
  if (name === 'explore' && heat) {
    link.set('step', Number(heat.dataset.step) + 1);
    if (heat.dataset.site) link.set('site', heat.dataset.site);
  }
  return `${location.origin}${location.pathname}?${link}`;
}
