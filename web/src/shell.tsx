import AppLayoutToolbar from '@cloudscape-design/components/app-layout-toolbar';
import BreadcrumbGroup, { type BreadcrumbGroupProps } from '@cloudscape-design/components/breadcrumb-group';
import LiveRegion from '@cloudscape-design/components/live-region';
import SideNavigation, { type SideNavigationProps } from '@cloudscape-design/components/side-navigation';
import TopNavigation from '@cloudscape-design/components/top-navigation';
import { lazy, type ReactNode, Suspense, useEffect, useState } from 'react';
import { reason } from './api/errors';
import { t } from './i18n';
import { imageCan } from './images/can';
import { ImagesPage } from './images/images-page';
import { SessionContext } from './session/context';
import { atLeast, roleIn, type Session, signOut, switchProject } from './session/session';
import { Boundary } from './ui/boundary';
import { crumb } from './ui/crumb';
import { flash, flashes, turnPage } from './ui/flash';
import { href, navigate, useRoute } from './ui/router';
import { saved } from './ui/saved';
import { useSelected, useStore } from './ui/store';
import { type Appearance, appearance, compact } from './ui/theme';
import { Waiting } from './ui/waiting';
import { spoken } from './upload/notify';
import { over } from './upload/state';
import { interrupted, panel, sending, uploads } from './upload/uploads';

const ImagePage = lazy(() => import('./images/image-page'));
const CreatePage = lazy(() => import('./create/create-page'));
const EditPage = lazy(() => import('./images/edit-page'));
const AdminPage = lazy(() => import('./admin/admin-page'));
const ProjectPage = lazy(() => import('./project/project-page'));
const ConnectPage = lazy(() => import('./connect/connect-page'));
const UploadPanel = lazy(() => import('./upload/panel'));
const Messages = lazy(() => import('./ui/messages'));
const SignInAgain = lazy(() => import('./session/sign-in-again'));

const wide = saved('navigation', true);

/** Everything around a page: where one is, who one is, what is being uploaded, and what happened. */
export default function Shell({ session, expired }: { session: Session; expired: boolean }) {
  const { path } = useRoute();
  const [open, setOpen] = useState(() => wide.get() && window.innerWidth > 1100);
  const messages = useStore(flashes);
  const said = useStore(spoken);
  const named = useStore(crumb);
  const page = pageAt(path, session, named.id === path[1] ? named.name : '');
  const count = useUploadCount();
  const shown = useStore(panel);

  useEffect(() => {
    if (page.title) document.title = t.title(page.title);
  }, [page.title]);

  const where = path.join('/');
  // biome-ignore lint/correctness/useExhaustiveDependencies: it is the change that counts
  useEffect(turnPage, [where]);

  return (
    <SessionContext.Provider value={session}>
      <div id="top">
        <Top session={session} />
      </div>
      <AppLayoutToolbar
        headerSelector="#top"
        ariaLabels={t.layout}
        navigationOpen={open}
        onNavigationChange={({ detail }) => {
          setOpen(detail.open);
          wide.set(detail.open);
        }}
        navigationWidth={200}
        navigation={<Navigation session={session} path={path} onFollow={() => window.innerWidth <= 688 && setOpen(false)} />}
        breadcrumbs={<Breadcrumbs items={page.breadcrumbs} />}
        notifications={
          messages.length > 0 && (
            <Suspense>
              <Messages messages={messages} />
            </Suspense>
          )
        }
        toolsHide
        drawers={[
          {
            id: 'uploads',
            trigger: { iconName: 'upload' },
            badge: count > 0,
            resizable: true,
            defaultSize: 400,
            ariaLabels: {
              drawerName: t.upload.panel,
              triggerButton: t.upload.openPanel,
              closeButton: t.upload.closePanel,
              resizeHandle: t.upload.resizePanel,
            },
            content: (
              <Suspense fallback={<Waiting />}>
                <UploadPanel />
              </Suspense>
            ),
          },
        ]}
        activeDrawerId={shown ? 'uploads' : null}
        onDrawerChange={({ detail }) => panel.set(detail.activeDrawerId === 'uploads')}
        contentType={page.kind}
        content={
          <Boundary key={path.join('/')}>
            <Suspense fallback={<Waiting />}>{page.content}</Suspense>
          </Boundary>
        }
      />
      <LiveRegion hidden>{said}</LiveRegion>
      {expired && (
        <Suspense>
          <SignInAgain session={session} />
        </Suspense>
      )}
    </SessionContext.Provider>
  );
}

interface Page {
  title: string; // empty: the page sets it by itself
  kind: 'default' | 'table' | 'form';
  breadcrumbs: BreadcrumbGroupProps.Item[];
  content: ReactNode;
}

/** The pages of the dashboard. */
function pageAt(path: string[], session: Session, name: string): Page {
  const [first, second, third] = path;
  const images = { text: t.images.title, href: href(['images']) };
  const here = (text: string) => ({ text, href: href(path) });
  if (first === undefined || (first === 'images' && second === undefined)) {
    return { title: t.images.title, kind: 'table', breadcrumbs: [images], content: <ImagesPage /> };
  }
  if (first === 'images' && second !== undefined && third === undefined) {
    if (second === 'create')
      return { title: t.create.title, kind: 'form', breadcrumbs: [images, here(t.create.title)], content: <CreatePage /> };
    return {
      title: t.image.title,
      kind: 'default',
      breadcrumbs: [images, here(name || t.image.title)],
      content: <ImagePage key={second} id={second} />,
    };
  }
  if (first === 'images' && second !== undefined && third === 'edit') {
    const image = { text: name || t.image.title, href: href(['images', second]) };
    return {
      title: t.edit.title,
      kind: 'form',
      breadcrumbs: [images, image, here(t.edit.title)],
      content: <EditPage key={second} id={second} />,
    };
  }
  if (first === 'admin' && atLeast(session, 'admin')) {
    return { title: t.admin.title, kind: 'default', breadcrumbs: [here(t.admin.title)], content: <AdminPage tab={second} /> };
  }
  if (first === 'project') return { title: t.usage.title, kind: 'default', breadcrumbs: [here(t.usage.title)], content: <ProjectPage /> };
  if (first === 'connect')
    return { title: t.connect.title, kind: 'default', breadcrumbs: [here(t.connect.title)], content: <ConnectPage /> };
  return { title: t.lost.title, kind: 'default', breadcrumbs: [images], content: <Lost /> };
}

function Lost() {
  useEffect(() => {
    flash({ type: 'warning', header: t.lost.title, content: t.lost.text });
    navigate(href(['images']), { replace: true });
  }, []);
  return null;
}

function Breadcrumbs({ items }: { items: BreadcrumbGroupProps.Item[] }) {
  return (
    <BreadcrumbGroup
      ariaLabel={t.layout.breadcrumbs}
      items={items}
      onFollow={(e) => {
        e.preventDefault();
        navigate(e.detail.href);
      }}
    />
  );
}

function Navigation({ session, path, onFollow }: { session: Session; path: string[]; onFollow: () => void }) {
  const items: SideNavigationProps.Item[] = [{ type: 'link', text: t.images.title, href: href(['images']) }];
  if (imageCan.create(session).ok) items.push({ type: 'link', text: t.create.title, href: href(['images', 'create']) });
  if (atLeast(session, 'admin')) {
    items.push({ type: 'divider' }, { type: 'link', text: t.admin.title, href: href(['admin']) });
  }
  items.push(
    { type: 'divider' },
    { type: 'link', text: t.usage.title, href: href(['project']) },
    { type: 'link', text: t.connect.title, href: href(['connect']) },
  );
  const active =
    path[0] === 'images' && path[1] !== 'create'
      ? href(['images'])
      : path[0] === 'admin'
        ? href(['admin'])
        : href(path.length ? path : ['images']);
  return (
    <SideNavigation
      activeHref={active}
      items={items}
      onFollow={(e) => {
        if (e.detail.external) return;
        e.preventDefault();
        navigate(e.detail.href);
        onFollow();
      }}
    />
  );
}

function Top({ session }: { session: Session }) {
  const look = useStore(appearance);
  const dense = useStore(compact);
  const role = roleIn(session);
  const roleText = role ? t.roles[role] : t.roles.none;

  async function toProject(id: string) {
    if (id === session.project.id) return;
    if (sending()) return flash({ type: 'warning', content: t.project.uploading });
    try {
      await switchProject(id);
      navigate(href(['images']));
    } catch (error) {
      flash({ type: 'error', header: t.project.failed, content: reason(error) });
    }
  }

  return (
    <TopNavigation
      identity={{ href: '#/images', title: 'Bullion', logo: { src: './bullion.svg', alt: t.logo } }}
      i18nStrings={t.topNavigation}
      utilities={[
        {
          type: 'menu-dropdown',
          text: session.project.name,
          iconName: 'folder',
          ariaLabel: t.project.current(session.project.name, roleText),
          description: roleText,
          items: [
            {
              text: t.project.choose,
              items: session.projects.map((p) => ({
                itemType: 'checkbox' as const,
                id: p.id,
                text: p.name,
                checked: p.id === session.project.id,
              })),
            },
          ],
          onItemClick: ({ detail }) => void toProject(detail.id),
        },
        {
          type: 'menu-dropdown',
          iconName: 'settings',
          ariaLabel: t.appearance.title,
          title: t.appearance.title,
          items: [
            {
              text: t.appearance.title,
              items: (['system', 'light', 'dark'] as Appearance[]).map((a) => ({
                itemType: 'checkbox' as const,
                id: a,
                text: t.appearance[a],
                checked: a === look,
              })),
            },
            { itemType: 'checkbox', id: 'compact', text: t.appearance.compact, checked: dense },
          ],
          onItemClick: ({ detail }) => (detail.id === 'compact' ? compact.set(!dense) : appearance.set(detail.id as Appearance)),
        },
        {
          type: 'menu-dropdown',
          text: session.user.name,
          iconName: 'user-profile',
          description: roleText,
          ariaLabel: t.signIn.menu(session.user.name),
          items: [{ id: 'sign-out', text: t.signIn.out, iconName: 'lock-private' }],
          onItemClick: () => void leave(),
        },
      ]}
    />
  );
}

async function leave(): Promise<void> {
  if (sending() && !window.confirm(t.upload.leave)) return;
  await signOut();
}

/** How many uploads are not over. */
function useUploadCount(): number {
  const going = useSelected(uploads, (all) => all.filter((u) => !over(u.state)).length);
  const left = useStore(interrupted);
  return going + left.length;
}
