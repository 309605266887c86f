import { constants } from 'node:os'

/** Messages of FUSE (include/uapi/linux/fuse.h, 7.31), as far as a small file system needs them: little endian. */

export const IN_HEADER_BYTES = 40
const OUT_HEADER_BYTES = 16

export const operations = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  setattr: 4,
  mkdir: 9,
  rmdir: 11,
  open: 14,
  read: 15,
  write: 16,
  release: 18,
  flush: 25,
  init: 26,
  interrupt: 36,
  batchForget: 42,
} as const

export interface FuseRequest {
  operation: number
  unique: bigint
  node: number
  body: Buffer
}

export function parseRequest(message: Buffer): FuseRequest {
  return {
    operation: message.readUInt32LE(4),
    unique: message.readBigUInt64LE(8),
    node: Number(message.readBigUInt64LE(16)),
    body: message.subarray(IN_HEADER_BYTES),
  }
}

/** `code`: of node:fs, where it failed. */
export function toReply(unique: bigint, body: Uint8Array, code?: string): Buffer {
  const reply = Buffer.concat([Buffer.alloc(OUT_HEADER_BYTES), code === undefined ? body : Buffer.alloc(0)])
  reply.writeUInt32LE(reply.length, 0)
  reply.writeInt32LE(code === undefined ? 0 : -constants.errno[code as keyof typeof constants.errno], 4)
  reply.writeBigUInt64LE(unique, 8)
  return reply
}

/** Of a node whose length is said to be zero, as configfs does. */
function toAttributes(node: number, mode: number): Buffer {
  const bytes = Buffer.alloc(88)
  bytes.writeBigUInt64LE(BigInt(node), 0)
  bytes.writeUInt32LE(mode, 60)
  bytes.writeUInt32LE(1, 64)
  bytes.writeUInt32LE(512, 80)
  return bytes
}

/** Nothing of it may be kept by the caller. */
export function toEntry(node: number, mode: number): Buffer {
  const bytes = Buffer.alloc(40)
  bytes.writeBigUInt64LE(BigInt(node), 0)
  return Buffer.concat([bytes, toAttributes(node, mode)])
}

export function toAttributesReply(node: number, mode: number): Buffer {
  return Buffer.concat([Buffer.alloc(16), toAttributes(node, mode)])
}

export function initReply(): Buffer {
  const bytes = Buffer.alloc(64)
  bytes.writeUInt32LE(7, 0)
  bytes.writeUInt32LE(31, 4)
  bytes.writeUInt16LE(8, 16)
  bytes.writeUInt16LE(8, 18)
  // The longest write.
  bytes.writeUInt32LE(4096, 20)
  return bytes
}

/** Every read and write is asked for, with what the caller said. */
export function openReply(): Buffer {
  const bytes = Buffer.alloc(16)
  bytes.writeUInt32LE(1, 8)
  return bytes
}

export function writeReply(size: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt32LE(size, 0)
  return bytes
}

export function readName(bytes: Buffer): string {
  return bytes.toString('utf8', 0, bytes.indexOf(0))
}
