import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import ButtonDropdown from '@cloudscape-design/components/button-dropdown';
import type { CollectionPreferencesProps } from '@cloudscape-design/components/collection-preferences';
import Header from '@cloudscape-design/components/header';
import Pagination from '@cloudscape-design/components/pagination';
import SpaceBetween from '@cloudscape-design/components/space-between';
import Table from '@cloudscape-design/components/table';
import Tabs from '@cloudscape-design/components/tabs';
import { lazy, Suspense, useMemo, useState } from 'react';
import type { Image } from '../api/client';
import { reason } from '../api/errors';
import { t } from '../i18n';
import { useSession } from '../session/context';
import { atLeast } from '../session/session';
import { flash } from '../ui/flash';
import { follow } from '../ui/follow';
import { href, navigate, useRoute } from '../ui/router';
import { saved } from '../ui/saved';
import { useMedia } from '../ui/use-media';
import { type BulkAction, bulkActions } from './bulk-actions';
import { imageCan, why } from './can';
import { columns, firstColumns } from './columns';
import { fetching } from './facts';
import Filter from './filter';
import { type Listing, readListing, relist, sortKeys, type Tab, tabs, tidy, writeListing } from './filters';
import { useOwnerName } from './owners';
import { download, refresh, useImages } from './queries';

const Preferences = lazy(() => import('./preferences'));
const Shared = lazy(() => import('./shared'));
const BulkDialog = lazy(() => import('./bulk-dialog'));

export interface Choice {
  pageSize: number;
  wrapLines: boolean;
  stripedRows: boolean;
  contentDisplay: readonly CollectionPreferencesProps.ContentDisplayItem[];
}

const choice = saved<Choice>('images', {
  pageSize: 50,
  wrapLines: false,
  stripedRows: false,
  contentDisplay: firstColumns.map((id) => ({ id, visible: true })),
});
const widths = saved<Record<string, number>>('widths', {});

export function ImagesPage() {
  const session = useSession();
  const { params } = useRoute();
  const listing = useMemo(() => readListing(params), [params]);
  const [prefs, setPrefs] = useState(choice.get);
  const [chosen, setChosen] = useState<readonly string[]>([]);
  const [dialog, setDialog] = useState<{ action: BulkAction; images: Image[] }>();
  const small = useMedia('(max-width: 688px)');
  const owner = useOwnerName();

  const query = useImages(listing, session.project.id, prefs.pageSize);
  const images = query.data?.images ?? [];
  const selected = images.filter((image) => chosen.includes(image.id));
  const definitions = useMemo(() => {
    const kept: Record<string, number> = small ? { name: 165, status: 150, size: 90 } : widths.get();
    return columns(owner).map((c) => ({ ...c, width: kept[c.id] ?? c.width }));
  }, [owner, small]);

  const go = (l: Listing, markers: string[] = []) => {
    setChosen([]);
    navigate(href(['images'], writeListing(l)), { state: { markers } });
  };
  const open = (action: BulkAction) => setDialog({ action, images: selected });
  const single = selected.length === 1 ? selected[0] : undefined;

  return (
    <>
      <Table
        variant="full-page"
        stickyHeader
        resizableColumns
        trackBy="id"
        enableKeyboardNavigation
        items={images}
        loading={query.isPending || query.isPlaceholderData}
        loadingText={t.images.loading}
        columnDefinitions={definitions}
        columnDisplay={small ? ['name', 'status', 'size'].map((id) => ({ id, visible: true })) : shownColumns(prefs, listing.tab)}
        wrapLines={prefs.wrapLines}
        stripedRows={prefs.stripedRows}
        sortingColumn={{ sortingField: listing.sort.key }}
        sortingDescending={listing.sort.descending}
        onSortingChange={({ detail }) => {
          const key = detail.sortingColumn.sortingField;
          if (key && sortKeys.includes(key)) go(relist(listing, { sort: { key, descending: detail.isDescending ?? false } }));
        }}
        onColumnWidthsChange={({ detail }) => {
          if (small) return;
          const visible = shownColumns(prefs, listing.tab).filter((c) => c.visible);
          widths.set({ ...widths.get(), ...Object.fromEntries(detail.widths.map((w, n) => [visible[n]?.id, w])) });
        }}
        selectionType="multi"
        selectedItems={selected}
        onSelectionChange={({ detail }) => setChosen(detail.selectedItems.map((image) => image.id))}
        ariaLabels={t.images.table}
        renderAriaLive={({ firstIndex, lastIndex }) => t.images.live(firstIndex, lastIndex)}
        header={
          <SpaceBetween size="m">
            <Header
              variant="awsui-h1-sticky"
              counter={query.data ? counter(selected.length, images.length, listing.page > 1 || query.data.next !== undefined) : undefined}
              actions={
                <SpaceBetween direction="horizontal" size="xs">
                  <Button
                    iconName="refresh"
                    ariaLabel={t.images.refresh}
                    loading={query.isFetching && !query.isPending}
                    onClick={() => void refresh()}
                  />
                  <ButtonDropdown
                    disabled={selected.length === 0}
                    disabledReason={t.images.chooseFirst}
                    items={actionItems(selected, session)}
                    onItemClick={({ detail }) => {
                      if (detail.id === 'edit' && single) return navigate(href(['images', single.id, 'edit']));
                      if (detail.id === 'download' && single) return void download(single.id).catch(failed);
                      open(detail.id as BulkAction);
                    }}
                  >
                    {t.images.actions}
                  </ButtonDropdown>
                  <Button disabled={selected.length === 0} disabledReason={t.images.chooseFirst} onClick={() => open('delete')}>
                    {t.images.delete}
                  </Button>
                  <Button
                    variant="primary"
                    {...follow(href(['images', 'create']))}
                    disabled={!imageCan.create(session).ok}
                    disabledReason={why(imageCan.create(session))}
                  >
                    {t.create.title}
                  </Button>
                </SpaceBetween>
              }
            >
              {t.images.title}
            </Header>
            <Tabs
              activeTabId={listing.tab}
              onChange={({ detail }) => go(relist(listing, { tab: detail.activeTabId as Tab }))}
              tabs={tabs.map((id) => ({ id, label: id === 'all' && atLeast(session, 'admin') ? t.tabs.everyProject : t.tabs[id] }))}
              ariaLabel={t.tabs.label}
              disableContentPaddings
            />
          </SpaceBetween>
        }
        filter={
          <SpaceBetween size="xs">
            {listing.tab === 'shared' && (
              <Suspense>
                <Shared now={listing.member} selected={selected} onChange={(member) => go(relist(listing, { member }))} />
              </Suspense>
            )}
            <Filter
              images={images}
              tokens={listing.tokens}
              count={query.isPlaceholderData ? '' : t.images.matches(images.length, query.data?.next !== undefined)}
              onChange={(tokens) => go(relist(listing, { tokens: tidy(tokens) }))}
            />
          </SpaceBetween>
        }
        pagination={<Pages listing={listing} next={query.data?.next} onChange={go} />}
        preferences={
          <OnDemand
            value={prefs}
            onChange={(next) => {
              choice.set(next);
              setPrefs(next);
              if (next.pageSize !== prefs.pageSize) go(relist(listing, {}));
            }}
          />
        }
        empty={
          query.isError ? (
            <Failure error={query.error} retry={() => void query.refetch()} />
          ) : (
            <Empty listing={listing} clear={() => go(relist(listing, { tokens: [] }))} />
          )
        }
      />
      {dialog && (
        <Suspense>
          <BulkDialog
            {...dialog}
            onClose={(done) => {
              setDialog(undefined);
              if (done.length > 0) setChosen([]); // after Cancel the choice is as it was
            }}
          />
        </Suspense>
      )}
    </>
  );
}

/** The button of the preferences. What is behind it, with its drag and drop, is loaded when it is pressed for the first time. */
function OnDemand(props: { value: Choice; onChange: (next: Choice) => void }) {
  const [wanted, setWanted] = useState(false);
  const button = (
    <Button variant="icon" iconName="settings" ariaLabel={t.preferences.title} loading={wanted} onClick={() => setWanted(true)} />
  );
  if (!wanted) return button;
  return (
    <Suspense fallback={button}>
      <Preferences {...props} />
    </Suspense>
  );
}

function failed(error: unknown): void {
  flash({ type: 'error', content: reason(error) });
}

/** The chosen columns, but for the owner where all images have the same. */
function shownColumns(c: Choice, tab: Tab): { id: string; visible: boolean }[] {
  return c.contentDisplay
    .filter((item) => item.type !== 'group')
    .map(({ id, visible }) => ({ id, visible: visible && !(id === 'owner' && tab === 'mine') }));
}

function counter(selected: number, count: number, more: boolean): string {
  const total = more ? `${count}+` : `${count}`;
  return selected > 0 ? `(${selected}/${total})` : `(${total})`;
}

/** What can be done with the selection. What none of it allows is disabled with the reason. */
function actionItems(images: Image[], session: ReturnType<typeof useSession>) {
  const single = images.length === 1 ? images[0] : undefined;
  const one = (action: 'edit' | 'download') => {
    const reason = single ? why(imageCan[action](single, session)) : t.images.oneOnly;
    return { id: action, text: t.actions[action], disabled: reason !== undefined, disabledReason: reason };
  };
  const many = (action: BulkAction) => {
    const verdicts = images.map((image) => bulkActions[action].verdict(image, session));
    const possible = verdicts.some((v) => v.ok);
    const first = verdicts.find((v) => !v.ok);
    return { id: action, text: t.actions[action], disabled: !possible, disabledReason: possible || !first ? undefined : why(first) };
  };
  return [
    one('edit'),
    one('download'),
    many('visibility'),
    many('tag'),
    many('untag'),
    many('deactivate'),
    many('reactivate'),
    ...(images.some(fetching) ? [many('cancelFetch')] : []),
    many('delete'),
  ];
}

/** Pages by marker. The markers of the pages that were visited are kept with the entry of the browser's history. */
function Pages({ listing, next, onChange }: { listing: Listing; next?: string; onChange: (l: Listing, markers: string[]) => void }) {
  const markers = ((history.state as { markers?: string[] } | null)?.markers ?? []).slice();
  markers[0] = '';
  if (listing.after) markers[listing.page - 1] = listing.after;
  if (next) markers[listing.page] = next;
  else markers.length = listing.page;
  return (
    <Pagination
      currentPageIndex={listing.page}
      pagesCount={markers.length}
      ariaLabels={t.pagination}
      onChange={({ detail }) => {
        const marker = markers[detail.currentPageIndex - 1];
        // A page whose marker this tab never saw, as after a deep link: begin again.
        onChange(
          { ...listing, page: marker === undefined ? 1 : detail.currentPageIndex, after: marker ?? '' },
          Array.from(markers, (m) => m ?? ''),
        );
      }}
    />
  );
}

function Failure({ error, retry }: { error: Error; retry: () => void }) {
  return (
    <Box textAlign="center" padding="l">
      <SpaceBetween size="s">
        <Box variant="strong" color="text-status-error">
          {t.images.failed}
        </Box>
        <Box color="text-body-secondary">{reason(error)}</Box>
        <Button onClick={retry} iconName="refresh">
          {t.retry}
        </Button>
      </SpaceBetween>
    </Box>
  );
}

function Empty({ listing, clear }: { listing: Listing; clear: () => void }) {
  const session = useSession();
  const create = href(['images', 'create']);
  if (listing.tokens.length > 0) {
    return (
      <Box textAlign="center" padding="l">
        <SpaceBetween size="s">
          <Box variant="strong">{t.images.noMatch}</Box>
          <Box color="text-body-secondary">{t.images.noMatchHint}</Box>
          <Button onClick={clear}>{t.images.clear}</Button>
        </SpaceBetween>
      </Box>
    );
  }
  return (
    <Box textAlign="center" padding="l">
      <SpaceBetween size="s">
        <Box variant="strong">{t.images.none[listing.tab]}</Box>
        <Box color="text-body-secondary">{t.images.noneHint[listing.tab]}</Box>
        {(listing.tab === 'mine' || listing.tab === 'all') && imageCan.create(session).ok && (
          <Button {...follow(create)}>{t.create.title}</Button>
        )}
      </SpaceBetween>
    </Box>
  );
}
