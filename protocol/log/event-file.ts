import { canonicalJson, type Json } from '../encoding.ts'
import { ProtocolError } from '../errors.ts'

/**
 * Attacker-controlled input: an event as a file holds it, and the text that was hashed. Spaces between members may be anybody's;
 * a member that stands twice may not, nor another spelling. Undefined for what is no such file.
 */
export function parseEventFile(written: string): { text: string; event: { [key: string]: Json } } | undefined {
  try {
    const event = JSON.parse(written) as Json
    if (typeof event !== 'object' || event === null || Array.isArray(event)) return undefined
    const text = canonicalJson(event)
    return written.replace(/("[^"\\]*(?:\\.[^"\\]*)*")|\s+/g, '$1') === text ? { text, event } : undefined
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof ProtocolError) return undefined
    throw error
  }
}
