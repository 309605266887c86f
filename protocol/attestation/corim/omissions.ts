import { corimInvalid } from './read-members.ts'

/** What a CoRIM says and is not taken, by the member of it that says so. */
export interface Omissions {
  /** In the order in which it was found; what only the places of two members tell apart is there once, with how often it was found. */
  readonly notTaken: readonly string[]
  /** It changes no meaning of what is taken. */
  inform(what: string): void
  /** Without it a value allows more than its author does. Throws `corim_invalid`, unless that is what was asked for. */
  narrow(what: string): void
}

/** `partial`: to take values without conditions that no reference value can have. */
export function createOmissions(partial: boolean): Omissions {
  const found = new Map<string, number>()
  const inform = (what: string) => {
    const anywhere = what.replace(/\[\d+\]/g, '[]')
    found.set(anywhere, (found.get(anywhere) ?? 0) + 1)
  }
  return {
    get notTaken() {
      return [...found].map(([what, times]) => (times === 1 ? what : `${what} (${times} times)`))
    },
    inform,
    narrow(what) {
      if (!partial) throw corimInvalid(`${what}: no reference value can say that, and without it would allow more.`)
      inform(what)
    },
  }
}
