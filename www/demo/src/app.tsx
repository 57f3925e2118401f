import type { FunctionComponent } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

import { AuditView } from './audit/audit-view.js';
import { JudgeView } from './judge/judge-view.js';
import { ModelsView } from './models/models-view.js';
import { followLinks } from './policy/from-link.js';
import { acceptPictures } from './shared/accept-pictures.js';
import { DropHint } from './shared/drop-hint.js';
import { ModelNotice } from './shared/model-notice.js';
import { PageFooter } from './shared/page-footer.js';
import { PageHeader } from './shared/page-header.js';
import { route, type View } from './shared/route.js';
import { UpdateBanner } from './shared/update-banner.js';
import { strings } from './strings/index.js';

/** What each view shows. */
const PAGES: Record<View, FunctionComponent> = {
  judge: JudgeView,
  audit: AuditView,
  models: ModelsView,
};

/** The page: what all views share, and the view that the address names. */
export function App() {
  const { view } = route.value;
  const { title, nav, skip } = strings.value;
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  useEffect(() => {
    document.title = view === 'judge' ? title : `${nav[view]} – LlavaGuard`;
    // Whoever follows a link of the navigation goes on reading in the new view.
    if (!first.current) main.current?.focus();
    first.current = false;
  }, [view, title]);
  useEffect(acceptPictures, []);
  useEffect(followLinks, []);
  const Page = PAGES[view];
  return (
    <>
      <a
        class="skip"
        href="#content"
        onClick={(event) => {
          event.preventDefault();
          main.current?.focus();
        }}
      >
        {skip}
      </a>
      <PageHeader />
      <UpdateBanner />
      <ModelNotice />
      <main id="content" ref={main} tabIndex={-1} aria-label={nav[view]}>
        <Page />
      </main>
      <PageFooter />
      <DropHint />
    </>
  );
}
