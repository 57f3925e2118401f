import { computed } from '@preact/signals';

import { language, strings } from '../strings/index.js';

const formats = computed(() => {
  const tag = language.value;
  return {
    percent: new Intl.NumberFormat(tag, { style: 'percent', maximumFractionDigits: 1 }),
    whole: new Intl.NumberFormat(tag, { maximumFractionDigits: 0 }),
    tenths: new Intl.NumberFormat(tag, { minimumFractionDigits: 1, maximumFractionDigits: 1 }),
    hundredths: new Intl.NumberFormat(tag, { minimumFractionDigits: 2, maximumFractionDigits: 2 }),
  };
});

/** A probability, e.g. `97.3 %`. */
export function percent(probability: number): string {
  return formats.value.percent.format(probability);
}

/** A whole number, e.g. `1,485`. */
export function whole(count: number): string {
  return formats.value.whole.format(count);
}

/** Bytes as millions without their unit, e.g. `9.0`. */
export function megabytes(bytes: number): string {
  return formats.value.tenths.format(bytes / 1e6);
}

/** Bytes with the unit that fits. */
export function size(bytes: number): string {
  const { whole, tenths } = formats.value;
  if (bytes < 1e3) return `${whole.format(bytes)} B`;
  if (bytes < 1e6) return `${whole.format(bytes / 1e3)} kB`;
  return bytes < 1e9 ? `${tenths.format(bytes / 1e6)} MB` : `${tenths.format(bytes / 1e9)} GB`;
}

/** A span of time with the unit that fits. */
export function duration(milliseconds: number): string {
  const { units } = strings.value;
  return milliseconds < 1000
    ? units.milliseconds(formats.value.whole.format(milliseconds))
    : units.seconds(formats.value.hundredths.format(milliseconds / 1000));
}

/** A number in thousands of millions without a unit, e.g. `62.5`. */
export function giga(value: number): string {
  return formats.value.tenths.format(value / 1e9);
}
