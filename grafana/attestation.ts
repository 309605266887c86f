import { type Dashboard, lines, stack, stat } from './describe.ts'
import { highest, inLastDay, lowest, most, noneWhileUp, share, total, zeroWhileUp } from './promql.ts'

const attestations = 'qflare_attestations_total'

export const attestation: Dashboard = {
  uid: 'qflare-attestation',
  title: 'Attestation',
  description: 'What evidence was found to be, and the collateral that it is held against.',
  sections: [
    {
      title: 'Is it well?',
      panels: [
        stat(
          {
            id: 1,
            title: 'Warnings and worse',
            alerts: ['QflareAttestationFailuresRising'],
            unit: 'percentunit',
            normal: 'what you know of: policies that want more than some devices have.',
            otherwise:
              'one format or all? All: reference values or trust anchors were changed. The audit log says who did.',
            steps: { warn: 0.1, bad: 0.5 },
            width: 4,
          },
          share(attestations, 'tier=~"warning|contraindicated"'),
        ),
        stat(
          {
            id: 2,
            title: 'Contraindicated',
            alerts: ['QflareAttestationFailuresRising'],
            unit: 'percentunit',
            normal: 'none: such a device is quarantined.',
            otherwise:
              '`qflare attestation list` has the findings. Many at once: a release without reference values, or an attack.',
            steps: { warn: 0.001, bad: 0.02 },
            width: 4,
          },
          share(attestations, 'tier="contraindicated"'),
        ),
        stat(
          {
            id: 3,
            title: 'Devices in quarantine',
            unit: 'short',
            normal: 'what you know of.',
            otherwise: 'look at its last attestation, then clear or revoke it.',
            steps: { warn: 1 },
            width: 4,
          },
          zeroWhileUp(highest('qflare_devices', { labels: 'status="QUARANTINED"' })),
        ),
        stat(
          {
            id: 4,
            title: 'Collateral out of date',
            alerts: ['QflareCollateralEnded'],
            unit: 'short',
            normal: 'none.',
            otherwise: 'verdicts are worse than they need be: docs/collateral.md says how to renew each kind.',
            steps: { bad: 1 },
            width: 4,
          },
          zeroWhileUp(`sum(${highest('qflare_collateral_out_of_date', { by: 'kind' })})`),
        ),
        stat(
          {
            id: 5,
            title: 'Next collateral ends in',
            unit: 's',
            normal: 'days.',
            otherwise: 'renew it now: docs/collateral.md.',
            steps: { warn: 604_800, bad: 86_400, below: true },
            words: { [-1]: 'none in use' },
            width: 4,
          },
          noneWhileUp(lowest('qflare_collateral_ends_in_seconds')),
        ),
        stat(
          {
            id: 6,
            title: 'Wrong MACs today',
            alerts: ['QflareInputChanged'],
            unit: 'short',
            normal: '0, always.',
            otherwise:
              'somebody wrote to the database behind the service: docs/threat-model.md, and your incident process.',
            steps: { bad: 0.5 },
            width: 4,
          },
          inLastDay('qflare_input_mac_mismatches_total'),
        ),
      ],
    },
    {
      title: 'Verdicts',
      panels: [
        stack(
          {
            id: 21,
            title: 'Verdicts',
            alerts: ['QflareAttestationFailuresRising'],
            unit: 'cps',
            normal: '`affirming`, in waves of five minutes; `none` of devices from which no evidence is wanted.',
            otherwise: 'see which format.',
          },
          { expr: total(attestations, { by: 'tier' }), legend: '{{tier}}' },
        ),
        stack(
          {
            id: 22,
            title: 'Evidence by format',
            alerts: ['QflareAttestationFailuresRising'],
            unit: 'cps',
            normal: 'the mix of your fleet.',
            otherwise: 'a format that ends: its devices are away, or were updated.',
          },
          { expr: most(total(attestations, { by: 'format' })), legend: '{{format}}' },
        ),
        lines(
          {
            id: 23,
            title: 'Warnings and worse, by format',
            alerts: ['QflareAttestationFailuresRising'],
            unit: 'cps',
            normal: 'near 0.',
            otherwise: 'the findings of one of them (`qflare attestation show ID`) say what is missing.',
          },
          {
            expr: most(total(attestations, { by: 'format', labels: 'tier=~"warning|contraindicated"' })),
            legend: '{{format}}',
          },
        ),
        lines(
          {
            id: 24,
            title: 'Inputs with a wrong MAC, by table',
            alerts: ['QflareInputChanged'],
            unit: 'cps',
            normal: '0, always.',
            otherwise: 'somebody wrote to the database behind the service.',
          },
          { expr: total('qflare_input_mac_mismatches_total', { by: 'table' }), legend: '{{table}}' },
        ),
      ],
    },
    {
      title: 'Collateral',
      panels: [
        lines(
          {
            id: 31,
            title: 'First that ends, by kind',
            unit: 's',
            normal: 'falls by itself, and rises when it is renewed; `none` where none is in use.',
            otherwise: 'docs/collateral.md.',
            width: 8,
          },
          {
            expr: most(zeroWhileUp(lowest('qflare_collateral_ends_in_seconds', { by: 'kind' }), 'kind')),
            legend: '{{kind}}',
          },
        ),
        lines(
          {
            id: 32,
            title: 'Age of the oldest, by kind',
            unit: 's',
            normal: 'below what its publisher says.',
            otherwise: 'a list of revocations that is old does not know who was revoked since.',
            width: 8,
          },
          {
            expr: most(zeroWhileUp(highest('qflare_collateral_age_seconds', { by: 'kind' }), 'kind')),
            legend: '{{kind}}',
          },
        ),
        lines(
          {
            id: 33,
            title: 'Out of date, by kind',
            alerts: ['QflareCollateralEnded'],
            unit: 'short',
            normal: '0.',
            otherwise: 'docs/collateral.md.',
            width: 8,
          },
          { expr: most(highest('qflare_collateral_out_of_date', { by: 'kind' })), legend: '{{kind}}' },
        ),
      ],
    },
  ],
}
