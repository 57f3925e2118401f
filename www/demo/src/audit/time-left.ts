/** Pictures that are looked back upon. */
const WINDOW = 32;
/** Fewer tell too little. */
const ENOUGH = 3;

/** Estimates how long the rest takes, by the mean of the last pictures. */
export class TimeLeft {
  #last: number[] = [];

  /** Notes how many milliseconds a picture took. */
  took(milliseconds: number): void {
    this.#last.push(milliseconds);
    if (this.#last.length > WINDOW) this.#last.shift();
  }

  /** Milliseconds for as many more; nothing while too little is known. */
  left(pictures: number): number | undefined {
    if (this.#last.length < ENOUGH) return undefined;
    const sum = this.#last.reduce((total, one) => total + one, 0);
    return (sum / this.#last.length) * pictures;
  }

  forget(): void {
    this.#last = [];
  }
}
