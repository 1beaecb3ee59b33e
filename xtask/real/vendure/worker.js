const { bootstrapWorker } = require('@vendure/core');
const { makeConfig } = require('./config');

bootstrapWorker(makeConfig())
    .then(worker => worker.startJobQueue())
    .then(
        () => console.log('worker ready'),
        error => {
            console.error(error);
            process.exit(1);
        },
    );
