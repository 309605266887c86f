import { z } from 'zod'

// Before any schema is made, which is why this is imported first: zod would try whether the page lets code be made of text, and the
// page's policy refuses that, aloud.
z.config({ jitless: true })
