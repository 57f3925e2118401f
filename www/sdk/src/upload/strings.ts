/** Everything the upload guard says. Numbers are counts of files. */
export interface UploadStrings {
  /** On the element's button. */
  choose: (multiple: boolean) => string;
  /** Beside it. */
  drop: (multiple: boolean) => string;
  /** That nothing leaves the machine for it. */
  private: string;
  /** Names the list of files. */
  list: string;
  /** Status of a file whose turn has not come. */
  waiting: string;
  /** Status of a file that is being judged. */
  checking: string;
  /** Status of a file that may be sent. */
  allowed: string;
  /** Status of a file that was judged and may not be sent. */
  blocked: string;
  /** Status of a file that could not be judged. */
  undecided: string;
  /** Why it is blocked; `rationale` is the model's own text, empty where it was not asked for. */
  because: (category: string, rationale: string) => string;
  /** Why it could not be checked, in the error's words. */
  notChecked: (reason: string) => string;
  /** The button that takes a file out. */
  remove: string;
  /** The same for screen readers, which hear it away from its file; with the button's own words in it. */
  removeNamed: (name: string) => string;
  /** The button that has a file judged once more. */
  again: string;
  /** The same for screen readers. */
  againNamed: (name: string) => string;
  /** The button that appeals. */
  appeal: string;
  /** The same for screen readers. */
  appealNamed: (name: string) => string;
  /** The appeal is before the site. */
  appealing: string;
  /** The site allowed the file. */
  appealGranted: string;
  /** It did not. */
  appealRefused: string;
  /** The site's answer did not come. */
  appealFailed: string;
  /** Where a form is sent too early; like what follows told to screen readers too. */
  stillChecking: (files: number) => string;
  /** Where files keep a form from being sent. */
  someBlocked: (blocked: number, undecided: number) => string;
  /** Where none does. */
  allAllowed: (files: number) => string;
  /** Where a required field has no file. */
  noneChosen: string;
}

const photos = (count: number) => (count === 1 ? '1 file' : `${count} files`);

/** English. */
export const ENGLISH: UploadStrings = {
  choose: (multiple) => (multiple ? 'Choose pictures' : 'Choose a picture'),
  drop: (multiple) => (multiple ? 'or drop them here' : 'or drop it here'),
  private: 'Pictures are checked on this device before they are sent.',
  list: 'Chosen files',
  waiting: 'Waiting',
  checking: 'Checking…',
  allowed: 'May be sent',
  blocked: 'Not allowed here',
  undecided: 'Could not be checked',
  because: (category, rationale) => (rationale === '' ? category : `${category}. ${rationale}`),
  notChecked: (reason) => `It will not be sent. ${reason}`,
  remove: 'Remove',
  removeNamed: (name) => `Remove ${name}`,
  again: 'Try again',
  againNamed: (name) => `Try again with ${name}`,
  appeal: 'Ask for a review',
  appealNamed: (name) => `Ask for a review of ${name}`,
  appealing: 'Review asked for…',
  appealGranted: 'Allowed after a review',
  appealRefused: 'A review did not change that.',
  appealFailed: 'The review could not be asked for. Try again later.',
  stillChecking: (files) => `Still checking ${photos(files)}. Wait a moment, then send.`,
  someBlocked: (blocked, undecided) =>
    [
      blocked > 0 ? `${photos(blocked)} not allowed here.` : '',
      undecided > 0 ? `${photos(undecided)} could not be checked.` : '',
      blocked + undecided === 1 ? 'Remove it to go on.' : 'Remove them to go on.',
    ]
      .filter((part) => part !== '')
      .join(' '),
  allAllowed: (files) => `${photos(files)} checked, ready to send.`,
  noneChosen: 'Choose a picture.',
};

const dateien = (count: number) => (count === 1 ? '1 Datei' : `${count} Dateien`);

/** German. */
export const GERMAN: UploadStrings = {
  choose: (multiple) => (multiple ? 'Bilder auswählen' : 'Bild auswählen'),
  drop: () => 'oder hierher ziehen',
  private: 'Bilder werden auf diesem Gerät geprüft, bevor sie gesendet werden.',
  list: 'Ausgewählte Dateien',
  waiting: 'Wartet',
  checking: 'Wird geprüft…',
  allowed: 'Darf gesendet werden',
  blocked: 'Hier nicht erlaubt',
  undecided: 'Konnte nicht geprüft werden',
  because: (category, rationale) => (rationale === '' ? category : `${category}. ${rationale}`),
  notChecked: (reason) => `Die Datei wird nicht gesendet. ${reason}`,
  remove: 'Entfernen',
  removeNamed: (name) => `${name} entfernen`,
  again: 'Erneut versuchen',
  againNamed: (name) => `Erneut versuchen: ${name}`,
  appeal: 'Überprüfung verlangen',
  appealNamed: (name) => `Überprüfung verlangen: ${name}`,
  appealing: 'Überprüfung verlangt…',
  appealGranted: 'Nach Überprüfung erlaubt',
  appealRefused: 'Die Überprüfung hat daran nichts geändert.',
  appealFailed: 'Die Überprüfung konnte nicht verlangt werden. Bitte später erneut versuchen.',
  stillChecking: (files) => `${dateien(files)} noch in Prüfung. Bitte kurz warten, dann senden.`,
  someBlocked: (blocked, undecided) =>
    [
      blocked > 0 ? `${dateien(blocked)} hier nicht erlaubt.` : '',
      undecided > 0 ? `${dateien(undecided)} nicht prüfbar.` : '',
      'Zum Fortfahren entfernen.',
    ]
      .filter((part) => part !== '')
      .join(' '),
  allAllowed: (files) => `${dateien(files)} geprüft, bereit zum Senden.`,
  noneChosen: 'Bitte ein Bild auswählen.',
};
