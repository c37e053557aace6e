export type Row = { what: string; target: string; result: string; reached: boolean }

const MARKER = '<!-- Written by `npm run bench -- --write`. Run it again instead of editing. -->'

/** docs/performance.md. */
export function performancePage(rows: readonly Row[], machine: readonly string[]): string {
  return [
    MARKER,
    '',
    '# Performance',
    '',
    'What one machine did in one run, beside what is aimed at. Load generator, provider, plain proxy, vault and PostgreSQL (fsync on) share',
    'the same cores, so ratios say more than requests a second. The plain proxy is bare `node:http` with undici behind it: no decision, no',
    'credential, no record. The floor adds the least that any vault needs: body hash, two HMACs, JSON, one decryption and two durable rows',
    '(`bench/floor.ts`). Figures are the middle ones of alternating rounds. How they mislead: [bench/TRAPS.md](../bench/TRAPS.md);',
    'what was done for them, and what did not help: [decision 0014](decisions/0014-what-a-call-costs.md).',
    '',
    '| What | Aim | Measured | |',
    '|---|---|---|---|',
    ...rows.map(
      ({ what, target, result, reached }) =>
        `| ${what} | ${target} | ${result} | ${target === '' ? '' : reached ? 'reached' : '**not reached**'} |`,
    ),
    '',
    '## Machine',
    '',
    ...machine.map((line) => `- ${line}`),
    '',
  ].join('\n')
}
