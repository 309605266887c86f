/** What hardware and host do when a kernel asks for a report. */
export interface TestMachine {
  /** Undefined: no module is loaded. */
  provider: 'sev_guest' | 'tdx_guest' | 'arm_cca_guest' | undefined
  privlevelFloor?: number
  /** Throws `systemError` for what fails. */
  report(asked: { inblob: Buffer; privlevel: number }): { outblob: Uint8Array; auxblob?: Uint8Array }
  /** Of whoever else is root on the machine: called before each read, with what writes to the same item. */
  meanwhile?(attribute: string, write: (attribute: string, bytes: Uint8Array) => void): void
}

interface Item {
  writeGeneration: number
  readGeneration: number
  inblob: Buffer
  privlevel: number
  made: { outblob: Uint8Array; auxblob?: Uint8Array } | undefined
}

const INBLOB_BYTES = 64
const MAX_PRIVLEVEL = 3

const modes = {
  generation: 0o444,
  provider: 0o444,
  inblob: 0o200,
  outblob: 0o444,
  auxblob: 0o444,
  privlevel: 0o200,
  privlevel_floor: 0o444,
} as const
type Attribute = keyof typeof modes
/** Those that are taken when their file is closed, and what is said against them then is lost. */
const binary: readonly string[] = ['inblob', 'outblob', 'auxblob']
const ofEvery = ['generation', 'provider', 'inblob', 'outblob'] as const
const ofSevGuest = ['auxblob', 'privlevel', 'privlevel_floor'] as const

/** As node:fs reports one. */
export function systemError(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: of the test's kernel`), { code })
}

export type TsmKernel = ReturnType<typeof createTsmKernel>

/** What drivers/virt/coco/guest/report.c of Linux 6.16 and fs/configfs do with the reports of a machine; nothing of their code. */
export function createTsmKernel(machine: TestMachine) {
  const items = new Map<string, Item>()
  const get = (name: string): Item => {
    const item = items.get(name)
    if (item === undefined) throw systemError('ENOENT')
    return item
  }

  function find(attribute: string): Attribute {
    const visible: readonly string[] = machine.provider === 'sev_guest' ? [...ofEvery, ...ofSevGuest] : ofEvery
    if (!visible.includes(attribute)) throw systemError('ENOENT')
    return attribute as Attribute
  }

  function store(item: Item, attribute: Attribute, bytes: Uint8Array): void {
    if (attribute === 'inblob') item.inblob = Buffer.from(bytes)
    else {
      const level = Number(Buffer.from(bytes).toString())
      const isLevel = level >= (machine.privlevelFloor ?? 0) && level <= MAX_PRIVLEVEL
      if (!isLevel) throw systemError('EINVAL')
      item.privlevel = level
    }
    item.writeGeneration++
  }

  function make(item: Item) {
    if (item.inblob.length === 0) throw systemError('EINVAL')
    if (item.made !== undefined && item.readGeneration === item.writeGeneration) return item.made
    // Both want all of them.
    if (item.inblob.length !== INBLOB_BYTES) throw systemError('EINVAL')
    if (item.privlevel < (machine.privlevelFloor ?? 0)) throw systemError('EIO')
    item.made = machine.report({ inblob: item.inblob, privlevel: item.privlevel })
    item.readGeneration = item.writeGeneration
    return item.made
  }

  return {
    names: () => [...items.keys()],
    attributes: () => (machine.provider === 'sev_guest' ? [...ofEvery, ...ofSevGuest] : [...ofEvery]),
    modeOf: (attribute: string) => modes[find(attribute)],
    make(name: string): void {
      if (machine.provider === undefined) throw systemError('ENXIO')
      if (items.has(name)) throw systemError('EEXIST')
      items.set(name, {
        writeGeneration: 0,
        readGeneration: 0,
        inblob: Buffer.alloc(0),
        privlevel: 0,
        made: undefined,
      })
    },
    remove(name: string): void {
      get(name)
      items.delete(name)
    },
    /** Not even root reads what is to be written only. */
    open(name: string, attribute: string, access: 'read' | 'write'): void {
      get(name)
      const mode = modes[find(attribute)]
      if ((mode & (access === 'read' ? 0o444 : 0o222)) === 0) throw systemError('EACCES')
    },
    read(name: string, attribute: string): Uint8Array {
      const item = get(name)
      machine.meanwhile?.(attribute, (which, bytes) => store(item, which as Attribute, bytes))
      const found = find(attribute)
      if (found === 'generation') return Buffer.from(`${item.writeGeneration}\n`)
      if (found === 'provider') return Buffer.from(`${machine.provider}\n`)
      if (found === 'privlevel_floor') return Buffer.from(`${machine.privlevelFloor ?? 0}\n`)
      const { outblob, auxblob = new Uint8Array() } = make(item)
      return found === 'outblob' ? outblob : auxblob
    },
    /** At each write of a text, and at the closing of the others, where nobody hears what was wrong. */
    write(name: string, attribute: string, bytes: Uint8Array): void {
      const item = get(name)
      const found = find(attribute)
      if (!binary.includes(found)) store(item, found, bytes)
      else if (bytes.length <= INBLOB_BYTES) store(item, found, bytes)
      else throw systemError('EFBIG')
    },
    isBinary: (attribute: string) => binary.includes(attribute),
  }
}
