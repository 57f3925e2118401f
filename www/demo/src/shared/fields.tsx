import type { ComponentChildren } from 'preact';

interface CheckProps {
  id: string;
  checked: boolean;
  onChange: (checked: boolean) => void;
  children: ComponentChildren;
}

/** A box to tick, with its label behind it. */
export function Check({ id, checked, onChange, children }: CheckProps) {
  return (
    <label class="inline-field">
      <input
        id={id}
        type="checkbox"
        checked={checked}
        onChange={(event) => {
          onChange(event.currentTarget.checked);
        }}
      />
      {children}
    </label>
  );
}

interface ChoiceProps<T extends string> {
  id?: string;
  /** Its name, where no label gives it one. */
  label?: string;
  value: T;
  options: readonly (readonly [value: T, label: string])[];
  onChange: (value: T) => void;
}

/** One of a few. */
export function Choice<T extends string>(props: ChoiceProps<T>) {
  const { id, label: name, value, options, onChange } = props;
  return (
    <select
      id={id}
      aria-label={name}
      value={value}
      onChange={(event) => {
        onChange(event.currentTarget.value as T);
      }}
    >
      {options.map(([one, label]) => (
        <option key={one} value={one}>
          {label}
        </option>
      ))}
    </select>
  );
}
