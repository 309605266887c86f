import { malformedEvidence } from '../../evidence-format.ts'

/**
 * Reads one structure of TPM 2.0 Part 2 in its order: no alignment, big endian but where it says otherwise. Attacker-controlled input. Every method throws
 * `evidence_malformed`, and nothing else, when the structure ends too early. What is given out are views.
 */
export class StructureReader {
  readonly #bytes: Uint8Array
  readonly #name: string
  #at = 0

  constructor(bytes: Uint8Array, name: string) {
    this.#bytes = bytes
    this.#name = name
  }

  bytes(length: number): Uint8Array {
    const end = this.#at + length
    if (end > this.#bytes.length) throw malformedEvidence(`${this.#name} ends too early.`)
    const bytes = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return bytes
  }

  uint8(): number {
    return this.bytes(1)[0] as number
  }

  uint16(): number {
    return this.uint8() * 0x100 + this.uint8()
  }

  uint32(): number {
    return this.uint16() * 0x1_0000 + this.uint16()
  }

  /** Little endian, as event logs are. */
  uint16le(): number {
    return this.uint8() + this.uint8() * 0x100
  }

  uint32le(): number {
    return this.uint16le() + this.uint16le() * 0x1_0000
  }

  /** A UINT64 that has to be a safe integer. */
  safeUint64(): number {
    const value = this.uint32() * 2 ** 32 + this.uint32()
    if (!Number.isSafeInteger(value)) throw malformedEvidence(`${this.#name} holds a number beyond 2^53.`)
    return value
  }

  /** A TPM2B of at most `most` bytes: without its size. */
  sized(most: number): Uint8Array {
    const size = this.uint16()
    if (size > most) throw malformedEvidence(`${this.#name} holds ${size} bytes where there are at most ${most}.`)
    return this.bytes(size)
  }

  /** TPMI_YES_NO. */
  yesNo(): boolean {
    const value = this.uint8()
    if (value > 1) throw malformedEvidence(`${this.#name} holds a ${value} where there is yes or no.`)
    return value === 1
  }

  get remaining(): number {
    return this.#bytes.length - this.#at
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  /** Nothing may follow. */
  end(): void {
    if (!this.atEnd) throw malformedEvidence(`Bytes follow ${this.#name}.`)
  }
}
