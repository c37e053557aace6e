const shapes = {
  check: 'M4 10.5l4 4 8-9',
  cross: 'M5 5l10 10M15 5L5 15',
  clock: 'M10 2.75a7.25 7.25 0 1 0 0 14.5 7.25 7.25 0 0 0 0-14.5M10 6v4.25l2.75 2',
  warning: 'M10 3L2.25 16.5h15.5L10 3M10 8v4M10 14.25v.1',
  info: 'M10 2.75a7.25 7.25 0 1 0 0 14.5 7.25 7.25 0 0 0 0-14.5M10 9.25v4.5M10 6.4v.1',
  lock: 'M4.75 9.25h10.5v7.5H4.75zM7 9V6.25a3 3 0 0 1 6 0V9',
  person: 'M10 3.25a3.25 3.25 0 1 0 0 6.5 3.25 3.25 0 0 0 0-6.5M3.5 17c.6-3.2 3-5 6.5-5s5.9 1.8 6.5 5',
  question:
    'M10 2.75a7.25 7.25 0 1 0 0 14.5 7.25 7.25 0 0 0 0-14.5M7.9 8a2.1 2.1 0 1 1 3.3 1.7c-.8.6-1.2 1-1.2 1.8M10 13.9v.1',
  back: 'M8 5L3.5 9.5 8 14M4 9.5h7.5a4 4 0 0 1 4 4v1.5',
  pause: 'M7.25 5v10M12.75 5v10',
} as const

export type IconName = keyof typeof shapes

/** A line drawing beside words that say the same; never the only carrier of a meaning. */
export function Icon({ name, size = 20 }: { name: IconName; size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 20 20"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.75"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      <path d={shapes[name]} />
    </svg>
  )
}
