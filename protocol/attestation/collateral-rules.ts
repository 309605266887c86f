import { z } from 'zod'

/** The rule of every format that is held against collateral: what evidence is that nobody can tell is still good. */
export const collateralRule = z
  .enum(['accepted', 'warning', 'contraindicated'])
  .default('warning')
  .meta({ description: 'what evidence is when a list or statement that it is held against lacks or is out of date' })
export type CollateralRule = z.output<typeof collateralRule>

/** AR4SI: of a vendor’s hardware and of its configuration, what is not known to be good is a warning (32 to 95) or a contraindication. */
export const collateralValues = { accepted: 2, warning: 33, contraindicated: 96 } as const satisfies Record<
  CollateralRule,
  number
>
