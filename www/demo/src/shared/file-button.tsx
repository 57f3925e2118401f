import type { ComponentChildren } from 'preact';

interface Props {
  id: string;
  accept: string;
  multiple?: boolean;
  /** Chooses a folder with all that is in it. */
  folder?: boolean;
  onFiles: (files: File[]) => void;
  /** Does something else in place of the browser's plain picker. */
  onPick?: (() => void) | undefined;
  children: ComponentChildren;
}

/** A button that opens the browser's file picker. */
export function FileButton({ id, accept, multiple, folder, onFiles, onPick, children }: Props) {
  return (
    <label class="button small">
      {children}
      <input
        id={id}
        class="visually-hidden"
        type="file"
        accept={accept}
        multiple={multiple}
        {...(folder ? { webkitdirectory: true } : {})}
        onClick={(event) => {
          if (!onPick) return;
          event.preventDefault();
          onPick();
        }}
        onChange={(event) => {
          const input = event.currentTarget;
          const files = [...(input.files ?? [])];
          // So that choosing the same file once more is a change again.
          input.value = '';
          onFiles(files);
        }}
      />
    </label>
  );
}
