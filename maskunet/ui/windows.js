// Every window of a browser has its own copy of the list of runs and stores it whole; so each tells the others what it changed.
const channel = new BroadcastChannel('maskunet-lab-runs');
let heard = '', some = false;
channel.onmessage = ({ data }) => {
  heard = JSON.stringify(data);
  window.hearsWindows = true;
  props.value = data;
  trigger('change');
};
window.tellWindows = (kept) => {
  some ||= kept.length > 0;  // a window that could not read what is stored has nothing to tell
  if (some && JSON.stringify(kept) !== heard) channel.postMessage(kept);
};
