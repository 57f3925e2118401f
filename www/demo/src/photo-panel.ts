import { element, showText } from './dom.js';

/** Told of a model file that was dropped, with its handle where the browser gives one. */
type OnModel = (file: File, handle: Promise<FileSystemHandle | null> | undefined) => void;

/** The card through which a photo comes in: dropped, chosen or pasted. */
export class PhotoPanel {
  readonly #drop = element('drop', HTMLLabelElement);
  readonly #input = element('photo-input', HTMLInputElement);
  readonly #preview = element('preview', HTMLImageElement);
  readonly #hint = element('drop-hint', HTMLSpanElement);
  readonly #name = element('photo-name', HTMLParagraphElement);

  constructor(onPhoto: (photo: File) => void, onModel: OnModel) {
    const take = (files: FileList | undefined | null) => {
      const photo = files?.[0];
      if (!photo) return;
      this.#show(photo);
      onPhoto(photo);
    };
    this.#input.addEventListener('change', () => {
      take(this.#input.files);
      // So that choosing the same file once more is a change again.
      this.#input.value = '';
    });
    document.addEventListener('paste', (event) => {
      take(event.clipboardData?.files);
    });
    this.#acceptDrops(take, onModel);
  }

  /** The whole page takes drops: a photo that misses the card must not replace the page. */
  #acceptDrops(take: (files: FileList | undefined) => void, onModel: OnModel): void {
    const over = (is: boolean) => {
      this.#drop.classList.toggle('over', is);
    };
    document.addEventListener('dragover', (event) => {
      event.preventDefault();
      over(true);
    });
    document.addEventListener('dragleave', (event) => {
      if (event.relatedTarget === null) over(false);
    });
    document.addEventListener('drop', (event) => {
      event.preventDefault();
      over(false);
      const file = event.dataTransfer?.files[0];
      if (file?.name.endsWith('.gguf')) {
        const item = event.dataTransfer?.items[0] as
          { getAsFileSystemHandle?(): Promise<FileSystemHandle | null> } | undefined;
        onModel(file, item?.getAsFileSystemHandle?.());
        return;
      }
      take(event.dataTransfer?.files);
    });
  }

  #show(photo: File): void {
    URL.revokeObjectURL(this.#preview.src);
    this.#preview.src = URL.createObjectURL(photo);
    this.#preview.alt = `The chosen photo, ${photo.name}`;
    this.#preview.hidden = false;
    this.#hint.hidden = true;
    this.#drop.classList.add('filled');
    this.#preview.onerror = () => {
      this.#preview.hidden = true;
      this.#hint.hidden = false;
      this.#drop.classList.remove('filled');
    };
    const size =
      photo.size < 1e6
        ? `${(photo.size / 1e3).toFixed(0)} kB`
        : `${(photo.size / 1e6).toFixed(1)} MB`;
    showText(this.#name, `${photo.name}, ${size}. Drop or choose another one to replace it.`);
  }
}
