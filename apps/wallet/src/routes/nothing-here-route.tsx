import { ProblemPage } from '../features/approvals/problem-page.tsx'

/** Every other address. */
export function NothingHereRoute() {
  return (
    <ProblemPage
      problem={{
        title: 'There is nothing at this address',
        sentences: ['Open the link from the message in which you found it.'],
        requestId: null,
      }}
    />
  )
}
