import { LlavaGuard } from 'llavaguard';
import { demoModel } from 'llavaguard-demo-model';
import { defineUploadElement } from 'llavaguard/upload';
import { StrictMode, useEffect, useRef, useState } from 'react';
import { createRoot } from 'react-dom/client';

defineUploadElement();

// Once for the whole app; components may come and go. A failed load leaves every file undecided.
const guard = LlavaGuard.load({ model: demoModel });

/** A field for pictures. React gives elements their properties; the form does the rest. */
function PictureUpload({ name, policy, onFiles }) {
  const element = useRef(null);
  useEffect(() => {
    element.current.options = { policy };
    element.current.guard = guard;
  }, [policy]);
  return (
    <llavaguard-upload
      ref={element}
      name={name}
      multiple
      onchange={(event) => onFiles(event.currentTarget.files)}
    />
  );
}

// A museum of weapons does not mind weapons. Outside the component, so that it stays the same.
const MUSEUM = { base: 'llavaguard-v1.2', categories: { O6: 'non_violating' } };

function App() {
  const [museum, setMuseum] = useState(false);
  const [files, setFiles] = useState([]);
  const [sent, setSent] = useState();
  const submit = (event) => {
    event.preventDefault();
    setSent(new FormData(event.currentTarget).getAll('pictures').map(({ name }) => name));
  };
  const allowed = files.filter(({ status }) => status === 'allowed').length;
  return (
    <>
      <h1>Upload guard in React</h1>
      <form onSubmit={submit}>
        <h2>Write a comment</h2>
        <label>
          Comment <textarea name="comment" rows="2" />
        </label>
        <div>
          <input
            type="checkbox"
            id="museum"
            checked={museum}
            onChange={(event) => setMuseum(event.target.checked)}
          />{' '}
          <label htmlFor="museum" className="beside">
            This is a museum of weapons
          </label>
        </div>
        <PictureUpload name="pictures" policy={museum ? MUSEUM : undefined} onFiles={setFiles} />
        <p className="quiet">
          {allowed} of {files.length} may be sent
        </p>
        <button>Send</button>
        {sent && <output className="quiet">Sent {sent.join(', ')}</output>}
      </form>
    </>
  );
}

createRoot(document.querySelector('#root')).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
