// The fields of settings. What differs from the preset is this component's value: {of: whose settings, set: {name: value}}.
const box = () => element.querySelector('.settings');
const fields = () => [...element.querySelectorAll('[data-name]')];
const usual = (field) => JSON.parse(field.dataset.usual);

const given = (field) => {
  if (field.type === 'checkbox') return field.checked;
  if (field.tagName === 'SELECT' && field.value === '') return null;
  if (field.type !== 'number') return field.value;
  return field.value === '' ? usual(field) : Number(field.value);
};

const put = (field, value) => {
  if (field.type === 'checkbox') field.checked = value; else field.value = value ?? '';
};

const changed = () => fields().filter((field) => given(field) !== usual(field));

// Fields that differ are marked and counted, also where they are folded away.
const mark = () => {
  const some = changed();
  for (const field of fields()) field.closest('.field').classList.toggle('changed', some.includes(field));
  const count = (text) => (some.length ? text.replace('{n}', some.length) : '');
  const lids = [...element.querySelectorAll('summary'), element.closest('#settings') && document.querySelector('.more > button > span')];
  for (const lid of lids.filter(Boolean)) lid.dataset.set = count(box()?.dataset.mark || '');
  if (!box()) return;
  const { one, many } = box().dataset;
  element.querySelector('.tally').hidden = !some.length;
  element.querySelector('.tally output').textContent = count(some.length === 1 ? one : many);
};

const tell = () => {
  props.value = { of: box().dataset.of, set: Object.fromEntries(changed().map((field) => [field.dataset.name, given(field)])) };
  mark();
};

const show = () => {
  const { of, set = {} } = props.value || {};
  for (const field of fields()) {
    const mine = of === box().dataset.of && field.dataset.name in set;
    put(field, mine ? set[field.dataset.name] : usual(field));
  }
  mark();
};

element.addEventListener('input', (event) => { if (event.target.dataset.name) tell(); });
element.addEventListener('change', (event) => {  // an emptied number is the preset's
  if (event.target.type === 'number' && event.target.value === '') put(event.target, usual(event.target));
});
element.addEventListener('click', (event) => {
  if (!event.target.closest('.tally button')) return;
  for (const field of fields()) put(field, usual(field));
  tell();
});
watch(['form', 'value'], show);  // a link brings both; a value of another form's fields counts for nothing
show();
