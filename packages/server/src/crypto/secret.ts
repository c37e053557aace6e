import { inspect } from 'node:util'

/** Plaintext that must not be printed. Prints as `[secret]` everywhere; only `reveal()` gives the text, a word one can grep. */
export class Secret {
  readonly #text: string
  constructor(text: string) {
    this.#text = text
  }
  reveal(): string {
    return this.#text
  }
  toString(): string {
    return '[secret]'
  }
  toJSON(): string {
    return '[secret]'
  }
  [inspect.custom](): string {
    return '[secret]'
  }
}
