import Popover from '@cloudscape-design/components/popover';
import StatusIndicator, { type StatusIndicatorProps } from '@cloudscape-design/components/status-indicator';
import type { Image } from '../api/client';
import { t } from '../i18n';
import { percent, size } from '../ui/format';
import { useSelected } from '../ui/store';
import { transferred } from '../upload/state';
import { type Item, uploads } from '../upload/uploads';
import { fetchFailed, fetching, progress, rejection } from './facts';

/** The upload of an image in this tab. */
export function useUploadOf(id: string): Item | undefined {
  return useSelected(uploads, (all) => all.find((u) => u.imageId === id));
}

/** Whether an upload of an image in this tab has more to show than the image itself. */
export function useUploading(id: string): boolean {
  return useSelected(uploads, (all) => all.some((u) => u.imageId === id && u.state.phase !== 'active'));
}

export interface Shown {
  type: StatusIndicatorProps.Type;
  text: string;
  reason?: string;
  header?: string; // over the reason
}

/** The state in one line: what the record says, and what this tab knows of an upload. */
export function shown(image: Image, upload?: Item): Shown {
  const name = t.status[image.status];
  switch (image.status) {
    case 'active':
      return { type: 'success', text: name };
    case 'deactivated':
      return { type: 'stopped', text: name };
    case 'saving':
    case 'uploading':
    case 'pending_delete':
    case 'deleted':
      return { type: 'in-progress', text: name };
    case 'importing': {
      const p = progress(image);
      if (p && fetching(image))
        return {
          type: 'in-progress',
          text: p.total > 0 ? t.progress.fetching(percent(p.part)) : p.done > 0 ? t.progress.fetched(size(p.done)) : t.fetch.title,
        };
      if (p?.phase === 'hash') return { type: 'in-progress', text: t.progress.hashing(percent(p.part)) };
      return { type: 'in-progress', text: p ? t.progress.inspecting : name };
    }
    case 'queued': {
      if (upload && !['active', 'rejected', 'cancelled'].includes(upload.state.phase)) {
        // The record may be a moment behind.
        if (upload.state.phase === 'completing' || upload.state.phase === 'validating')
          return { type: 'in-progress', text: t.status.importing };
        const done = percent(transferred(upload.state) / upload.state.size);
        if (upload.state.phase === 'paused') return { type: 'pending', text: t.progress.paused(done) };
        if (upload.state.phase === 'failed') return { type: 'warning', text: t.progress.interrupted };
        if (upload.state.phase === 'waiting') return { type: 'pending', text: t.progress.inQueue };
        return { type: 'in-progress', text: t.progress.uploading(done) };
      }
      const refused = rejection(image);
      if (refused) return { type: 'error', text: t.progress.rejected, header: t.progress.rejected, reason: refused.message };
      if (fetchFailed(image)) {
        const why = image.bullion_import_failure || t.fetch.failedHint;
        return { type: 'error', text: t.progress.fetchFailed, header: t.fetch.failed, reason: `${why} ${t.fetch.nextThere}` };
      }
      if (image.bullion_upload_state === 'open') return { type: 'pending', text: t.progress.open };
      return { type: 'pending', text: name };
    }
  }
}

export function StatusCell({ image }: { image: Image }) {
  const { type, text, reason, header } = shown(image, useUploadOf(image.id));
  const indicator = <StatusIndicator type={type}>{text}</StatusIndicator>;
  if (!reason) return indicator;
  return (
    <Popover
      header={header}
      content={<span className="prose">{reason}</span>}
      triggerType="text"
      dismissAriaLabel={t.dismiss}
      renderWithPortal
    >
      <span className="words">{indicator}</span>
    </Popover>
  );
}
