import Alert from '@cloudscape-design/components/alert';
import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import ButtonDropdown from '@cloudscape-design/components/button-dropdown';
import ColumnLayout from '@cloudscape-design/components/column-layout';
import Container from '@cloudscape-design/components/container';
import ContentLayout from '@cloudscape-design/components/content-layout';
import CopyToClipboard from '@cloudscape-design/components/copy-to-clipboard';
import Header from '@cloudscape-design/components/header';
import KeyValuePairs from '@cloudscape-design/components/key-value-pairs';
import Popover from '@cloudscape-design/components/popover';
import SegmentedControl from '@cloudscape-design/components/segmented-control';
import SpaceBetween from '@cloudscape-design/components/space-between';
import StatusIndicator from '@cloudscape-design/components/status-indicator';
import Tabs from '@cloudscape-design/components/tabs';
import { type ReactNode, useEffect, useState } from 'react';
import type { Image } from '../api/client';
import { ApiError, reason } from '../api/errors';
import { useImportMethods } from '../create/import';
import { SourceFiles } from '../create/source';
import { t } from '../i18n';
import { useSession } from '../session/context';
import { crumb } from '../ui/crumb';
import { flash } from '../ui/flash';
import { follow } from '../ui/follow';
import { ago, integer, shortTime, size, time } from '../ui/format';
import { href, navigate, useRoute } from '../ui/router';
import { Waiting } from '../ui/waiting';
import { Resume, UploadCard } from '../upload/card';
import { begin } from '../upload/uploads';
import type { BulkAction } from './bulk-actions';
import BulkDialog from './bulk-dialog';
import { imageCan, why } from './can';
import { formatName, Tags } from './columns';
import { Commands } from './commands';
import { description, fetchFailed, fetching, property, rejection, system } from './facts';
import { FetchFailed, Fetching, FromAddress } from './fetch';
import { History } from './history';
import { Members } from './members';
import { useOwnerName } from './owners';
import { Properties } from './properties';
import { answer, download, refresh, useImage, useMembers, useVerdict } from './queries';
import { StatusCell, useUploading, useUploadOf } from './status';

/** Everything about one image. */
export default function ImagePage({ id }: { id: string }) {
  const query = useImage(id);
  const image = query.data;
  useEffect(() => {
    if (!image) return;
    document.title = t.title(image.name || id);
    crumb.set({ id, name: image.name });
  }, [image, id]);

  if (query.error && (!image || (query.error instanceof ApiError && query.error.status === 404)))
    return <Missing error={query.error} retry={() => void query.refetch()} />;
  return image ? <Page image={image} /> : <Waiting />;
}

function Missing({ error, retry }: { error: Error; retry: () => void }) {
  const gone = error instanceof ApiError && error.status === 404;
  const list = () => navigate(href(['images']));
  return (
    <Alert
      type={gone ? 'info' : 'error'}
      header={gone ? t.image.gone : t.image.failed}
      action={<Button onClick={gone ? list : retry}>{gone ? t.image.toList : t.retry}</Button>}
    >
      {gone ? t.image.goneHint : reason(error)}
    </Alert>
  );
}

function Page({ image }: { image: Image }) {
  const session = useSession();
  const { params } = useRoute();
  const [dialog, setDialog] = useState<BulkAction>();
  const [downloading, setDownloading] = useState(false);
  const uploading = useUploading(image.id);
  const name = image.name || t.images.unnamed(image.id.slice(0, 8));
  const verdict = (action: 'edit' | 'delete' | 'download' | 'deactivate' | 'reactivate') => imageCan[action](image, session);
  const edit = href(['images', image.id, 'edit']);
  const flip = image.status === 'deactivated' ? 'reactivate' : 'deactivate';
  const history = imageCan.history(image, session).ok;

  async function fetchBytes() {
    setDownloading(true);
    try {
      await download(image.id);
    } catch (error) {
      flash({ type: 'error', content: reason(error) });
    } finally {
      setDownloading(false);
    }
  }

  const tabs = [
    { id: 'properties', label: t.image.properties, content: <Properties image={image} /> },
    { id: 'sharing', label: t.image.sharing, content: <Members image={image} /> },
    ...(history ? [{ id: 'history', label: t.image.history, content: <History image={image} /> }] : []),
    { id: 'commands', label: t.image.commands, content: <Commands image={image} /> },
  ];

  return (
    <ContentLayout
      header={
        <Header
          variant="h1"
          description={description(image) ? <span className="prose">{description(image)}</span> : undefined}
          actions={
            <SpaceBetween direction="horizontal" size="xs">
              <Button {...follow(edit)} disabled={!verdict('edit').ok} disabledReason={why(verdict('edit'))}>
                {t.actions.edit}
              </Button>
              <ButtonDropdown
                items={[
                  { id: flip, text: t.actions[flip], disabled: !verdict(flip).ok, disabledReason: why(verdict(flip)) },
                  { id: 'visibility', text: t.actions.visibility, disabled: !verdict('edit').ok, disabledReason: why(verdict('edit')) },
                  { id: 'tag', text: t.actions.tag, disabled: !verdict('edit').ok, disabledReason: why(verdict('edit')) },
                  { id: 'delete', text: t.actions.delete, disabled: !verdict('delete').ok, disabledReason: why(verdict('delete')) },
                ]}
                onItemClick={({ detail }) => setDialog(detail.id as BulkAction)}
              >
                {t.images.actions}
              </ButtonDropdown>
              <Button
                variant="primary"
                iconName="download"
                loading={downloading}
                disabled={!verdict('download').ok}
                disabledReason={why(verdict('download'))}
                onClick={() => void fetchBytes()}
              >
                {t.actions.download}
              </Button>
            </SpaceBetween>
          }
        >
          {name}
        </Header>
      }
    >
      <SpaceBetween size="l">
        <Invitation image={image} />
        {uploading ? (
          <Container header={<Header variant="h2">{t.upload.title}</Header>}>
            <UploadHere id={image.id} />
          </Container>
        ) : (
          image.status === 'queued' && <Bytes image={image} />
        )}
        {fetching(image) && <Fetching image={image} onStop={() => setDialog('cancelFetch')} />}
        <Warnings image={image} />
        <Facts image={image} />
        <Tabs
          variant="container"
          tabs={tabs}
          activeTabId={tabs.find((x) => x.id === params.get('tab'))?.id ?? 'properties'}
          onChange={({ detail }) => navigate(href(['images', image.id], { tab: detail.activeTabId }), { replace: true })}
          ariaLabel={t.image.tabs}
        />
      </SpaceBetween>
      {dialog && (
        <BulkDialog
          action={dialog}
          images={[image]}
          onClose={(done) => {
            setDialog(undefined);
            if (dialog === 'delete' && done.length > 0) navigate(href(['images']));
          }}
        />
      )}
    </ContentLayout>
  );
}

/** Its byte counts move many times a second; the rest of the page stays as it is. */
function UploadHere({ id }: { id: string }) {
  const upload = useUploadOf(id);
  return upload && <UploadCard item={upload} />;
}

/** What an image without bytes needs: a file, or the rest of one. */
function Bytes({ image }: { image: Image }) {
  const session = useSession();
  const [files, setFiles] = useState<File[]>([]);
  const [ready, setReady] = useState(false);
  const [working, setWorking] = useState(false);
  const refused = rejection(image);
  const may = imageCan.upload(image, session).ok;
  const failed = fetchFailed(image);
  const canImport = useImportMethods().includes('web-download');
  const [chosen, setChosen] = useState<'file' | 'url'>();
  const source = canImport ? (chosen ?? (failed ? 'url' : 'file')) : 'file';
  const open = image.bullion_upload_state === 'open' && image.bullion_upload;

  async function send() {
    const file = files[0];
    if (!file) return;
    setWorking(true);
    try {
      await begin(image.id, image.name, file);
      setFiles([]);
    } catch (error) {
      flash({ type: 'error', content: reason(error) });
    } finally {
      setWorking(false);
    }
  }

  return (
    <SpaceBetween size="l">
      {refused && (
        <Alert type="error" header={t.upload.rejected} data-testid="rejection">
          {refused.message}
        </Alert>
      )}
      {failed && !refused && <FetchFailed image={image} />}
      {may && open && (
        <Alert type="info" header={t.upload.openElsewhere}>
          <SpaceBetween size="xs">
            <span>{t.upload.openElsewhereHint}</span>
            <Resume image={image.id} name={image.name} upload={open} />
          </SpaceBetween>
        </Alert>
      )}
      {may && !open && (
        <Container header={<Header variant="h2">{t.image.give}</Header>}>
          <SpaceBetween size="m">
            {canImport && (
              <SegmentedControl
                label={t.create.source}
                selectedId={source}
                options={[
                  { id: 'file', text: t.create.fromFile },
                  { id: 'url', text: t.create.fromUrl },
                ]}
                onChange={({ detail }) => setChosen(detail.selectedId as 'file' | 'url')}
              />
            )}
            {source === 'url' ? (
              <FromAddress image={image} />
            ) : (
              <SpaceBetween size="m">
                <SourceFiles files={files} onChange={setFiles} multiple={false} onReady={setReady} />
                <Button variant="primary" disabled={!ready || files.length === 0} loading={working} onClick={() => void send()}>
                  {t.image.upload}
                </Button>
              </SpaceBetween>
            )}
          </SpaceBetween>
        </Container>
      )}
    </SpaceBetween>
  );
}

/** What the examination of the bytes found that was no reason to refuse them. */
function Warnings({ image }: { image: Image }) {
  const warnings = useVerdict(image).data?.report?.warnings ?? [];
  if (warnings.length === 0) return null;
  const said = (w: (typeof warnings)[number]) => (
    <span key={w.code + w.message} data-code={w.code}>
      {`${w.message} ${w.hint}`.trim()}
    </span>
  );
  return (
    <Alert type="warning" header={t.image.warnings(warnings.length)} data-testid="warnings">
      {warnings.length === 1 ? (
        warnings.map(said)
      ) : (
        <ul className="sentences">
          {warnings.map((w) => (
            <li key={w.code + w.message}>{said(w)}</li>
          ))}
        </ul>
      )}
    </Alert>
  );
}

/** An image that another project shares: the answer to it. */
function Invitation({ image }: { image: Image }) {
  const session = useSession();
  const foreign = image.visibility === 'shared' && image.owner !== session.project.id;
  const members = useMembers(image.id, foreign);
  const [working, setWorking] = useState(false);
  const mine = members.data?.find((m) => m.member_id === session.project.id);
  if (!foreign || !mine) return null;
  const may = imageCan.answer(image, session);

  async function say(status: 'accepted' | 'rejected') {
    setWorking(true);
    try {
      await answer(image.id, session.project.id, status);
      await refresh();
    } catch (error) {
      flash({ type: 'error', content: reason(error) });
    } finally {
      setWorking(false);
    }
  }
  const button = (status: 'accepted' | 'rejected', text: string) => (
    <Button loading={working} disabled={!may.ok} disabledReason={why(may)} onClick={() => void say(status)}>
      {text}
    </Button>
  );
  return (
    <Alert
      type={mine.status === 'pending' ? 'info' : 'success'}
      header={t.shared.state[mine.status]}
      action={
        <SpaceBetween direction="horizontal" size="xs">
          {mine.status !== 'accepted' && button('accepted', t.shared.accept)}
          {mine.status !== 'rejected' && button('rejected', t.shared.reject)}
        </SpaceBetween>
      }
    >
      {t.shared.stateHint[mine.status]}
    </Alert>
  );
}

function Copy({ text, label }: { text: string; label: string }) {
  return (
    <CopyToClipboard
      variant="inline"
      textToCopy={text}
      textToDisplay={<span className="mono">{text}</span>}
      wrapText
      copyButtonAriaLabel={t.copy.of(label)}
      copySuccessText={t.copy.done}
      copyErrorText={t.copy.failed}
    />
  );
}

function Moment({ iso }: { iso: string }) {
  return (
    <time dateTime={iso} title={time(iso)}>
      {shortTime(iso)} <Box variant="small">{ago(iso)}</Box>
    </time>
  );
}

/** That the image starts a machine, and what was found in it that says so. */
function Boots({ evidence }: { evidence: readonly string[] }) {
  if (evidence.length === 0) return t.yes;
  return (
    <Popover
      header={t.image.evidence}
      triggerType="text"
      dismissAriaLabel={t.dismiss}
      renderWithPortal
      content={
        <ul className="sentences">
          {evidence.map((sentence) => (
            <li key={sentence}>{sentence}</li>
          ))}
        </ul>
      }
    >
      {t.yes}
    </Popover>
  );
}

function Facts({ image }: { image: Image }) {
  const owner = useOwnerName();
  const report = useVerdict(image).data?.report;
  const pair = (label: string, value: ReactNode) => ({ label, value });
  return (
    <Container header={<Header variant="h2">{t.image.facts}</Header>}>
      <SpaceBetween size="l">
        <KeyValuePairs
          columns={4}
          items={[
            pair(t.columns.status, <StatusCell image={image} />),
            pair(t.columns.visibility, t.visibility[image.visibility]),
            pair(t.columns.owner, owner(image.owner)),
            pair(t.columns.protected, image.protected ? <StatusIndicator type="info">{t.image.protected}</StatusIndicator> : t.no),
            pair(t.columns.size, image.size === null ? '–' : <span title={t.format.bytes(integer(image.size))}>{size(image.size)}</span>),
            pair(t.image.virtualSize, size(image.virtual_size)),
            pair(t.columns.disk_format, formatName(image.disk_format)),
            pair(t.columns.container_format, image.container_format ?? '–'),
            pair(t.columns.os, system(image) || '–'),
            pair(t.columns.architecture, property(image, 'architecture') || '–'),
            pair(t.image.boots, report?.bootable ? <Boots evidence={report.evidence} /> : report ? t.image.noSign : '–'),
            pair(t.columns.min_disk, image.min_disk ? t.format.gib(image.min_disk) : t.image.anyAmount),
            pair(t.columns.min_ram, image.min_ram ? t.format.mib(image.min_ram) : t.image.anyAmount),
            pair(t.columns.created_at, <Moment iso={image.created_at} />),
            pair(t.columns.updated_at, <Moment iso={image.updated_at} />),
            pair(t.image.hidden, image.os_hidden ? t.yes : t.no),
            pair(t.columns.tags, <Tags tags={image.tags} />),
          ]}
        />
        <ColumnLayout columns={1}>
          <KeyValuePairs
            columns={2}
            items={[
              pair(t.columns.id, <Copy text={image.id} label={t.columns.id} />),
              pair(t.image.md5, image.checksum ? <Copy text={image.checksum} label={t.image.md5} /> : '–'),
            ]}
          />
          <KeyValuePairs
            columns={1}
            items={[pair(t.image.sha512, image.os_hash_value ? <Copy text={image.os_hash_value} label={t.image.sha512} /> : '–')]}
          />
        </ColumnLayout>
        {image.checksum === null && <Box color="text-body-secondary">{t.image.noChecksum}</Box>}
      </SpaceBetween>
    </Container>
  );
}
