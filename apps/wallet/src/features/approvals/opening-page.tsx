import { Skeleton } from '@alter-vault/web-kit/skeleton.tsx'
import { PageFrame } from './page-frame.tsx'

/** The shape of the page until the request is there. */
export function OpeningPage() {
  return (
    <PageFrame branding={null}>
      <p role="status">Reading the request</p>
      <Skeleton shape="title" />
      <Skeleton shape="line" />
      <Skeleton shape="block" />
      <Skeleton shape="block" />
    </PageFrame>
  )
}
