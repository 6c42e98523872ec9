import '@cloudscape-design/global-styles/index.css';
import './ui/page.css';
import { I18nProvider } from '@cloudscape-design/components/i18n';
import messages from '@cloudscape-design/components/i18n/messages/all.en';
import { QueryClientProvider } from '@tanstack/react-query';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app';
import { queries, startQueries } from './images/queries';
import { startHandover } from './session/handover';
import { restore } from './session/session';
import { listen } from './ui/router';
import { startTheme } from './ui/theme';
import { startUploads } from './upload/uploads';

startTheme();
listen();
startQueries();
startUploads();
restore();
startHandover();

const root = document.getElementById('root');
if (!root) throw new Error('index.html has no element with the id root');
createRoot(root).render(
  <StrictMode>
    <I18nProvider locale="en" messages={[messages]}>
      <QueryClientProvider client={queries}>
        <App />
      </QueryClientProvider>
    </I18nProvider>
  </StrictMode>,
);
